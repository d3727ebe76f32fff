/**
 * A TCP proxy before the PostgreSQL of the tests, for connections that are cut: without a word (no
 * reset, no end, just nothing any more, as a firewall or a dead switch does it), or so that the
 * answer to a batch is lost.
 */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';

/** Marks the message that carries a batch, or makes a new owner. */
const MARKS = { commit: 'merge_batch(', replacement: 'pg_advisory_xact_lock($1)' };

/**
 * What happens to the connection that sends the next batch. `silent`: the batch never arrives, and
 * nobody is told. `sent`: it arrives, and the client is cut off at once. `answered`: the client is
 * cut off when PostgreSQL answers it.
 */
export type Cut = 'silent' | 'sent' | 'answered';

interface State {
  next: Cut | null;
  mark: string;
  cuts: number;
}

export class TcpProxy {
  /** Leads to the same database through the proxy. */
  readonly databaseUrl: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #state: State;

  private constructor(server: Server, databaseUrl: string, state: State) {
    this.#server = server;
    this.databaseUrl = databaseUrl;
    this.#state = state;
  }

  /** @param databaseUrl - over a unix socket, as the test cluster's are. */
  static async start(databaseUrl: string): Promise<TcpProxy> {
    const url = new URL(databaseUrl);
    const path = `${decodeURIComponent(url.hostname)}/.s.PGSQL.${url.port}`;
    const state: State = { next: null, mark: '', cuts: 0 };
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

  /** Connections that were cut. */
  get cuts(): number {
    return this.#state.cuts;
  }

  cutNextCommit(cut: Cut): void {
    this.#state.next = cut;
    this.#state.mark = MARKS.commit;
  }

  /** The connection on which the next owner of a dead shard is made falls silent. */
  silenceNextReplacement(): void {
    this.#state.next = 'silent';
    this.#state.mark = MARKS.replacement;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #forward(client: Socket, server: Socket): void {
    let cut: Cut | null = null;
    for (const socket of [client, server]) {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
    }
    client.on('data', (chunk) => {
      if (this.#state.next !== null && chunk.includes(this.#state.mark)) {
        cut = this.#state.next;
        this.#state.next = null;
        this.#state.cuts += 1;
      }
      if (cut !== 'silent') server.write(chunk, () => cut === 'sent' && client.destroy());
    });
    server.on('data', (chunk) => {
      if (cut === null) client.write(chunk);
      else if (cut === 'answered') client.destroy();
    });
    // What was written to PostgreSQL still arrives there.
    client.on('close', () => server.end());
    server.on('close', () => {
      if (cut !== 'silent') client.destroy();
    });
  }
}
