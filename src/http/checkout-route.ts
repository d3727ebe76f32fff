/**
 * POST /carts/{id}/checkout: one order per cart, ever. The id of the order is a function of customer
 * and cart, and the order takes effect in the transaction that closes the cart at the version read
 * here; so whatever is sent twice, too late or from two tabs ends at the one order.
 */
import type { FastifyInstance, FastifyReply } from 'fastify';

import type { Cart, Carts } from '../domain/cart.ts';
import type { OrderId } from '../domain/ids.ts';
import { orderAsOf } from '../domain/order.ts';
import { REFUSAL_CODES } from '../domain/outcome.ts';
import type { PlaceOrderOutcome } from '../domain/outcome.ts';
import type { OrderGateway, OrderReader } from '../domain/ports.ts';
import { identityOf } from './authenticate.ts';
import type { AuthenticateHook } from './authenticate.ts';
import { idempotencyKeyOf } from './idempotency-key.ts';
import { schemaRef } from './json-schema.ts';
import { answerOrder } from './order-answer.ts';
import { metadataIssue } from './order-request.ts';
import { CHECKOUT_BYTES_MAX, checkoutBody } from './order-schemas.ts';
import type { CheckoutBody } from './order-schemas.ts';
import { sendProblem } from './problem.ts';
import { documented } from './route-doc.ts';
import { idParams, keyHeaders } from './shared-schemas.ts';
import type { IdParams } from './shared-schemas.ts';
import { traceparentOf } from './trace-context.ts';
import { visibleCart } from './visible-cart.ts';

/** What the route needs. */
export interface CheckoutDeps {
  readonly gateway: OrderGateway;
  readonly carts: Carts;
  readonly orders: Pick<OrderReader, 'findOrder'>;
  readonly authenticate: AuthenticateHook;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
}

const OPTIONS = documented({
  operationId: 'checkOut',
  summary: 'Order what is in a cart; answered after the order is durable',
  tag: 'carts',
  auth: 'required',
  params: idParams,
  headers: keyHeaders,
  body: { schema: checkoutBody, bytesMax: CHECKOUT_BYTES_MAX },
  success: {
    status: 201,
    description:
      'The order of this cart; of a cart that was ordered before, the order it made then.',
    schema: schemaRef('Order'),
    headers: {
      Location: 'The address of the order.',
      'Idempotency-Replayed': '`true` when the order was made by an earlier request.',
    },
  },
  errors: [
    'forbidden',
    'cart-not-found',
    'cart-empty',
    'cart-changed',
    'idempotency-key-reused',
    ...REFUSAL_CODES,
    'overloaded',
    'database-unavailable',
    'outcome-unknown',
  ],
});

/** Adds POST /carts/{id}/checkout. */
export function addCheckoutRoute(app: FastifyInstance, deps: CheckoutDeps): void {
  const { gateway, carts, authenticate, clock } = deps;
  const sight = { find: carts.readCart.bind(carts), clock };

  app.post<{ Params: IdParams; Body: CheckoutBody | undefined }>(
    '/carts/:id/checkout',
    { ...OPTIONS, onRequest: authenticate },
    async (request, reply) => {
      const { userId, role } = identityOf(request);
      if (role !== 'customer') return sendProblem(reply, 'forbidden');
      const { reference = null, metadata = null } = request.body ?? {};
      const issue = metadataIssue({ metadata });
      if (issue !== undefined) return sendProblem(reply, 'validation', { errors: [issue] });
      const cart = await visibleCart(sight, request.params.id, reply);
      if (cart === undefined) return reply;
      if (cart.orderId !== null) return answerAgain(reply, cart.orderId, deps);
      if (cart.lines.length === 0) return sendProblem(reply, 'cart-empty');
      const { headers } = request.raw;
      const outcome = await gateway.placeOrder({
        userId,
        idempotencyKey: idempotencyKeyOf(headers),
        lines: cart.lines.map(({ productId, quantity }) => ({ productId, quantity })),
        reference,
        metadata,
        cart: { id: cart.id, version: cart.version },
        traceparent: traceparentOf(request),
      });
      return answer(reply, { cart, outcome }, deps);
    },
  );
}

interface Decided {
  /** As it was read: open. */
  readonly cart: Cart;
  readonly outcome: PlaceOrderOutcome;
}

async function answer(
  reply: FastifyReply,
  { cart, outcome }: Decided,
  deps: CheckoutDeps,
): Promise<FastifyReply> {
  const { type } = outcome;
  if (type !== 'cart-changed' && type !== 'key-reused') {
    if (type === 'accepted') await deps.carts.noteOrdered(cart, outcome.order.id);
    return answerOrder(reply, outcome, deps.clock);
  }
  // Another request came first. If that was a checkout too, from a second tab or with another key
  // or reference, the order that it made is the order of this cart.
  const now = await deps.carts.readCart(cart.id);
  if (now !== undefined && now.orderId !== null) return answerAgain(reply, now.orderId, deps);
  if (type === 'key-reused') return sendProblem(reply, 'idempotency-key-reused');
  return now === undefined
    ? sendProblem(reply, 'cart-not-found')
    : sendProblem(reply, 'cart-changed', { version: now.version });
}

async function answerAgain(
  reply: FastifyReply,
  id: OrderId,
  { orders, clock }: CheckoutDeps,
): Promise<FastifyReply> {
  const order = await orders.findOrder(id);
  if (order === undefined) throw new Error(`a cart names order ${id}, which is not there`);
  // As it was first answered.
  const placed = orderAsOf(order, 'WAITING_PAYMENT');
  return answerOrder(reply, { type: 'accepted', order: placed, replayed: true }, clock);
}
