import type { FastifyReply } from 'fastify';

import { LINES_MAX, QUANTITY_MAX } from '../domain/bounds.ts';
import type { Cart, CartOutcome, CartRefusal } from '../domain/cart.ts';
import { AppError, unreachable } from '../domain/errors.ts';
import { cartJsonOf } from './cart-json.ts';
import type { CartShow } from './cart-json.ts';
import { sendProblem } from './problem.ts';
import type { Issue } from './problem.ts';

const TOO_MANY_LINES: Issue = {
  path: 'product_id',
  message: `must not raise the products of this cart above ${LINES_MAX}`,
};
const TOO_MANY_UNITS: Issue = {
  path: 'quantity',
  message: `must not raise the units of this product above ${QUANTITY_MAX}`,
};

/** How a change is answered. */
export interface CartSuccess extends CartShow {
  /** 201: the change made the cart. */
  readonly status: 200 | 201;
}

/** Answers a change of a cart; total over the outcomes. */
export async function answerCart(
  reply: FastifyReply,
  outcome: CartOutcome,
  success: CartSuccess,
): Promise<FastifyReply> {
  switch (outcome.type) {
    case 'changed': {
      const json = await changedJson(outcome.cart, success);
      if (outcome.replayed) reply.header('idempotency-replayed', 'true');
      if (success.status === 201) reply.header('location', `/carts/${outcome.cart.id}`);
      return reply.code(success.status).send(json);
    }
    case 'refused':
      return refuseCart(reply, outcome.refusal);
    case 'key-reused':
      return sendProblem(reply, 'idempotency-key-reused');
    default:
      return unreachable(outcome);
  }
}

/** The change is committed: that its products cannot be read must not sound as if it were not. */
async function changedJson(cart: Cart, show: CartShow): Promise<object | undefined> {
  try {
    const [json] = await cartJsonOf(show, [cart]);
    return json;
  } catch (cause) {
    throw new AppError('outcome-unknown', { cause });
  }
}

/** Total over the refusals. */
export function refuseCart(reply: FastifyReply, refusal: CartRefusal): FastifyReply {
  switch (refusal.code) {
    case 'cart-not-found':
    case 'cart-closed':
      return sendProblem(reply, refusal.code);
    case 'product-not-found':
      return sendProblem(reply, refusal.code, { items: refusal.items });
    case 'too-many-lines':
      return sendProblem(reply, 'validation', { errors: [TOO_MANY_LINES] });
    case 'too-many-units':
      return sendProblem(reply, 'validation', { errors: [TOO_MANY_UNITS] });
    default:
      return unreachable(refusal);
  }
}
