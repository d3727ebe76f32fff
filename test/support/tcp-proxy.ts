/**
 * A TCP proxy before the PostgreSQL of the tests, for connections that are cut without a word: no
 * reset, no end, just nothing any more, as a firewall or a dead switch does it.
 */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';

/** Marks the message that carries a batch. */
const COMMIT_MARK = 'merge_batch(';

export class TcpProxy {
  /** Leads to the same database through the proxy. */
  readonly databaseUrl: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #state: { silenceNext: boolean; silenced: number };

  private constructor(
    server: Server,
    databaseUrl: string,
    state: { silenceNext: boolean; silenced: number },
  ) {
    this.#server = server;
    this.databaseUrl = databaseUrl;
    this.#state = state;
  }

  /** @param databaseUrl - over a unix socket, as the test cluster's are. */
  static async start(databaseUrl: string): Promise<TcpProxy> {
    const url = new URL(databaseUrl);
    const path = `${decodeURIComponent(url.hostname)}/.s.PGSQL.${url.port}`;
    const state = { silenceNext: false, silenced: 0 };
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('the proxy has no port');
    const login = `${url.username}:${url.password}`;
    const proxied = `postgresql://${login}@127.0.0.1:${address.port}${url.pathname}?sslmode=disable`;
    const proxy = new TcpProxy(server, proxied, state);
    server.on('connection', (client) => proxy.#forward(client, connect(path)));
    return proxy;
  }

  /** Connections that fell silent. */
  get silenced(): number {
    return this.#state.silenced;
  }

  /** The connection that sends the next batch falls silent, and the batch never arrives. */
  silenceNextCommit(): void {
    this.#state.silenceNext = true;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #forward(client: Socket, server: Socket): void {
    let silent = false;
    for (const socket of [client, server]) {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
    }
    client.on('data', (chunk) => {
      if (this.#state.silenceNext && chunk.includes(COMMIT_MARK)) {
        this.#state.silenceNext = false;
        this.#state.silenced += 1;
        silent = true;
      }
      if (!silent) server.write(chunk);
    });
    server.on('data', (chunk) => {
      if (!silent) client.write(chunk);
    });
    client.on('close', () => server.destroy());
    server.on('close', () => {
      if (!silent) client.destroy();
    });
  }
}
