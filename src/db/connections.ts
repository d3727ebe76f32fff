/** The open connections of a shard: which of them live, and the end of all. */
import type pg from 'pg';
import { cutClient, endClient } from './silence.ts';

export class Connections {
  readonly #open = new Set<pg.Client>();
  #closed = false;

  /** Takes in a connection that is being opened; cuts it if all were closed meanwhile. */
  async add(opening: Promise<pg.Client>): Promise<pg.Client> {
    const client = await opening;
    if (this.#closed) {
      cutClient(client);
      throw new Error('the connections are closed');
    }
    this.#open.add(client);
    const lose = () => {
      this.#open.delete(client);
      cutClient(client);
    };
    // A server that ends a session says so, and only then ends the connection.
    client.once('error', lose);
    client.once('end', lose);
    return client;
  }

  /** Whether the connection stands, as far as anybody knows. */
  has(client: pg.Client): boolean {
    return this.#open.has(client);
  }

  /** Fails what is under way. Never rejects nor hangs. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#open].map(endClient));
  }
}
