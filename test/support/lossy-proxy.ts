/** A TCP port before the PostgreSQL of the tests that loses what it is told to, or is shut. */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';

/** Marks the message that carries a batch. */
const BATCH_MARK = 'merge_batch(';

/** A batch that never arrives, or one whose answer does not. */
export type Loss = 'batch' | 'answer';

export class LossyProxy {
  /** Leads to the same database through the proxy. */
  readonly databaseUrl: string;
  readonly #server: Server;
  readonly #port: number;
  readonly #path: string;
  readonly #sockets = new Set<Socket>();
  #loss: Loss | null = null;

  private constructor(server: Server, port: number, url: URL) {
    this.#server = server;
    this.#port = port;
    this.#path = `${decodeURIComponent(url.hostname)}/.s.PGSQL.${url.port}`;
    const login = `${url.username}:${url.password}`;
    this.databaseUrl = `postgresql://${login}@127.0.0.1:${port}${url.pathname}?sslmode=disable`;
    server.on('connection', (client) => this.#forward(client, connect(this.#path)));
  }

  /** @param databaseUrl - over a unix socket, as the test cluster's are. */
  static async open(databaseUrl: string): Promise<LossyProxy> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('the proxy has no port');
    return new LossyProxy(server, address.port, new URL(databaseUrl));
  }

  /** The connection of the next batch falls silent, without a reset or an end. */
  loseNext(loss: Loss): void {
    this.#loss = loss;
  }

  /** Cuts whoever is connected and refuses everybody else. */
  async shut(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async reopen(): Promise<void> {
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  #forward(client: Socket, backend: Socket): void {
    let lost: Loss | null = null;
    for (const socket of [client, backend]) {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
    }
    client.on('data', (chunk) => {
      if (this.#loss !== null && chunk.includes(BATCH_MARK)) {
        lost = this.#loss;
        this.#loss = null;
      }
      if (lost !== 'batch') backend.write(chunk);
    });
    backend.on('data', (chunk) => {
      if (lost === null) client.write(chunk);
    });
    client.on('close', () => backend.destroy());
    backend.on('close', () => {
      if (lost === null) client.destroy();
    });
  }
}
