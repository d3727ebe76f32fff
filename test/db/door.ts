/** A TCP port before the PostgreSQL of the tests that can be shut: refused, as without a server. */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';

export class Door {
  /** Leads to the same database through the door. */
  readonly databaseUrl: string;
  readonly #server: Server;
  readonly #port: number;
  readonly #sockets: Set<Socket>;

  private constructor(server: Server, url: URL, sockets: Set<Socket>) {
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('the door has no port');
    this.#server = server;
    this.#port = address.port;
    this.#sockets = sockets;
    const login = `${url.username}:${url.password}`;
    this.databaseUrl = `postgresql://${login}@127.0.0.1:${address.port}${url.pathname}?sslmode=disable`;
  }

  /** @param databaseUrl - over a unix socket, as the test cluster's are. */
  static async open(databaseUrl: string): Promise<Door> {
    const url = new URL(databaseUrl);
    const path = `${decodeURIComponent(url.hostname)}/.s.PGSQL.${url.port}`;
    const sockets = new Set<Socket>();
    const server = createServer((client) => {
      const backend = connect(path);
      for (const [from, to] of [
        [client, backend],
        [backend, client],
      ] as const) {
        // prettier-ignore
        sockets.add(from);
        from.on('error', () => undefined);
        from.on('data', (chunk) => to.write(chunk));
        from.on('close', () => to.destroy());
      }
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new Door(server, url, sockets);
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
}
