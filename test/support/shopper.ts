import { randomUUID } from 'node:crypto';
import { tokenOf } from './server.ts';
import type { Answered } from './shop.ts';

interface Sent {
  readonly key?: string;
  readonly body?: object;
}

/** A customer who fills carts of the whole server. */
export class Shopper {
  readonly id = randomUUID();
  readonly #token = tokenOf(this.id);
  readonly #serverUrl: () => string;

  /** @param serverUrl - Asked each time: the server may be another one by then. */
  constructor(serverUrl: () => string) {
    this.#serverUrl = serverUrl;
  }

  /** Rejects when the connection is lost before the answer. The body of a 204 is empty. */
  async send(method: string, path: string, { key, body }: Sent = {}): Promise<Answered> {
    const response = await fetch(this.#serverUrl() + path, {
      method,
      headers: {
        authorization: `Bearer ${this.#token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(key === undefined ? {} : { 'idempotency-key': key }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    const json: unknown = text === '' ? {} : JSON.parse(text);
    if (typeof json !== 'object' || json === null) throw new Error('the answer is no object');
    return { status: response.status, headers: response.headers, body: { ...json } };
  }

  /** The id of a new cart. */
  async fill(...items: readonly (readonly [productId: string, units: number])[]): Promise<string> {
    const body = { items: items.map(([product_id, quantity]) => ({ product_id, quantity })) };
    const { status, body: cart } = await this.send('POST', '/carts', { body });
    if (status !== 201) throw new Error(`no cart: ${JSON.stringify(cart)}`);
    return String(cart['id']);
  }

  add(cartId: string, [product_id, quantity]: readonly [string, number]): Promise<Answered> {
    return this.send('POST', `/carts/${cartId}/items`, { body: { product_id, quantity } });
  }

  cart(cartId: string): Promise<Answered> {
    return this.send('GET', `/carts/${cartId}`);
  }

  checkOut(cartId: string, sent: Sent = {}): Promise<Answered> {
    return this.send('POST', `/carts/${cartId}/checkout`, sent);
  }
}
