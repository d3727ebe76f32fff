/** A client that holds its connections open, as browsers and load balancers do. */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { tokenOf } from '../support/server.ts';
import type { Answered } from '../support/shop.ts';
import { until } from '../support/until.ts';
import type { Items } from './journal.ts';

export type KeptAnswer = Pick<Answered, 'status' | 'body'>;

export class KeepAliveClient {
  readonly #agent = new Agent({ keepAlive: true });
  readonly #url: URL;

  constructor(serverUrl: string) {
    this.#url = new URL('/orders', serverUrl);
  }

  /** Sends one order of a new customer; resolves when the system has it, with what will be answered. */
  async send(items: Items): Promise<{ readonly answer: Promise<KeptAnswer> }> {
    const outgoing = request(this.#url, {
      method: 'POST',
      agent: this.#agent,
      headers: {
        authorization: `Bearer ${tokenOf(randomUUID())}`,
        'content-type': 'application/json',
      },
    });
    const answer = once(outgoing, 'response').then(async ([response]: IncomingMessage[]) => {
      if (response?.statusCode === undefined) throw new Error('no response');
      const body = JSON.parse(await text(response)) as Record<string, unknown>;
      return { status: response.statusCode, body };
    });
    answer.catch(() => undefined);
    const sent = once(outgoing, 'finish');
    const lines = items.map(([product_id, quantity]) => ({ product_id, quantity }));
    outgoing.end(JSON.stringify({ items: lines }));
    await sent;
    return { answer };
  }

  close(): void {
    this.#agent.destroy();
  }
}

/**
 * Waits until the server has accepted `count` connections and read all that was sent to it.
 * Source: proc(5), /proc/net/tcp: local address, state 01 = established, queues, inode.
 */
export async function untilRead(serverUrl: string, count: number): Promise<void> {
  const port = Number(new URL(serverUrl).port).toString(16).toUpperCase().padStart(4, '0');
  await until(`${count} requests were read`, () => {
    const rows = readFileSync('/proc/net/tcp', 'utf8').split('\n').slice(1);
    const connections = rows
      .map((row) => row.trim().split(/\s+/))
      .filter(([, local, , state]) => local?.endsWith(`:${port}`) === true && state === '01');
    const read = connections.filter(([, , , , queues, , , , , inode]) => {
      const received = queues?.split(':')[1];
      return inode !== '0' && received === '00000000';
    });
    return read.length === connections.length && read.length >= count;
  });
}
