import type { FastifyReply, FastifyRequest } from 'fastify';

import { isLive } from '../domain/cart.ts';
import type { Cart, CartOfCustomer } from '../domain/cart.ts';
import { parseCartId } from '../domain/ids.ts';
import type { CartId } from '../domain/ids.ts';
import { identityOf } from './authenticate.ts';
import { sendProblem } from './problem.ts';
import type { IdParams } from './shared-schemas.ts';

/** What it takes to find a cart. */
export interface CartSight {
  /** A copy from a cache will do for reading; a checkout reads what is committed. */
  readonly find: (id: CartId) => Promise<Cart | undefined>;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
}

/**
 * The cart, if it is there for who asks: its customer and nobody else. Otherwise undefined, and
 * `cart-not-found` was sent, so that ids cannot be probed.
 *
 * @param idText - As the path has it.
 */
export async function visibleCart(
  { find, clock }: CartSight,
  idText: string,
  reply: FastifyReply,
): Promise<Cart | undefined> {
  const { userId } = identityOf(reply.request);
  const id = parseCartId(idText);
  const cart = id === undefined ? undefined : await find(id);
  if (cart !== undefined && cart.userId === userId && isLive(cart, clock())) return cart;
  sendProblem(reply, 'cart-not-found');
  return undefined;
}

/** The cart that a request is to change, as a cart of whoever asks: whether it is one is decided then. */
export function cartOf(request: FastifyRequest<{ Params: IdParams }>): CartOfCustomer {
  const cartId = parseCartId(request.params.id);
  if (cartId === undefined) throw new Error('a cart id passed validation and is none');
  return { userId: identityOf(request).userId, cartId };
}
