/**
 * POST /orders, the hot route. What is not needed for a plain success is not done: one synchronous
 * hook, compiled validation and serialization, no log line, and refusals are sent, never thrown.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

import { METADATA_BYTES_MAX, QUANTITY_MAX } from '../domain/bounds.ts';
import { unreachable } from '../domain/errors.ts';
import { parseProductId } from '../domain/ids.ts';
import type { RequestedLine } from '../domain/order.ts';
import type { PlaceOrderOutcome, Refusal } from '../domain/outcome.ts';
import type { OrderGateway } from '../domain/ports.ts';
import { identityOf } from './authenticate.ts';
import type { AuthenticateHook } from './authenticate.ts';
import { idempotencyKeyOf } from './idempotency-key.ts';
import { schemaRef } from './json-schema.ts';
import { orderJson } from './order-json.ts';
import { PLACE_ORDER_BYTES_MAX, placeOrderBody } from './order-schemas.ts';
import type { PlaceOrderBody } from './order-schemas.ts';
import { sendProblem } from './problem.ts';
import type { Issue, ProblemExtras } from './problem.ts';
import { documented } from './route-doc.ts';
import { keyHeaders } from './shared-schemas.ts';
import { traceparentOf } from './trace-context.ts';

/** What the route needs. */
export interface PlaceOrderDeps {
  readonly gateway: OrderGateway;
  readonly authenticate: AuthenticateHook;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
}

const OPTIONS = documented({
  operationId: 'placeOrder',
  summary: 'Order products; answered after the order is durable',
  tag: 'orders',
  auth: 'required',
  headers: keyHeaders,
  body: { schema: placeOrderBody, bytesMax: PLACE_ORDER_BYTES_MAX },
  success: {
    status: 201,
    description: 'The order; with a key that was used before, the order it made then.',
    schema: schemaRef('Order'),
    headers: {
      Location: 'The address of the order.',
      'Idempotency-Replayed': '`true` when the order was made by an earlier request.',
    },
  },
  errors: [
    'forbidden',
    'idempotency-key-reused',
    'product-not-found',
    'product-not-for-sale',
    'sale-not-started',
    'sale-ended',
    'currency-mismatch',
    'out-of-stock',
    'overloaded',
    'database-unavailable',
    'outcome-unknown',
  ],
});

/** Adds POST /orders. */
export function addPlaceOrderRoute(app: FastifyInstance, deps: PlaceOrderDeps): void {
  const { gateway, clock } = deps;

  async function handle(
    request: FastifyRequest<{ Body: PlaceOrderBody }>,
    reply: FastifyReply,
  ): Promise<FastifyReply> {
    const { body } = request;
    const { headers } = request.raw;
    const identity = identityOf(request);
    if (identity.role !== 'customer') return sendProblem(reply, 'forbidden');
    const lines = requestedLines(body);
    const issue = quantitiesIssue(lines) ?? metadataIssue(body);
    if (issue !== undefined) return sendProblem(reply, 'validation', { errors: [issue] });
    const outcome = await gateway.placeOrder({
      userId: identity.userId,
      idempotencyKey: idempotencyKeyOf(headers),
      lines,
      reference: body.reference ?? null,
      metadata: body.metadata ?? null,
      traceparent: traceparentOf(headers.traceparent),
    });
    return answer(reply, outcome, clock);
  }

  app.post<{ Body: PlaceOrderBody }>(
    '/orders',
    { ...OPTIONS, onRequest: deps.authenticate },
    handle,
  );
}

function requestedLines(body: PlaceOrderBody): RequestedLine[] {
  const lines: RequestedLine[] = [];
  for (const item of body.items) {
    const productId = parseProductId(item.product_id);
    if (productId === undefined) throw new Error('a product id passed validation and is none');
    lines.push({ productId, quantity: item.quantity });
  }
  return lines;
}

/** The owner sums the lines of a product; a sum past the bound of a line is refused here. */
function quantitiesIssue(lines: readonly RequestedLine[]): Issue | undefined {
  if (lines.length === 1) return undefined;
  const sums = new Map<string, number>();
  for (const [index, line] of lines.entries()) {
    const sum = (sums.get(line.productId) ?? 0) + line.quantity;
    if (sum > QUANTITY_MAX) {
      const message = `must not raise the units of this product above ${QUANTITY_MAX}`;
      return { path: `items[${index}].quantity`, message };
    }
    sums.set(line.productId, sum);
  }
  return undefined;
}

function metadataIssue(body: PlaceOrderBody): Issue | undefined {
  if (body.metadata === undefined || body.metadata === null) return undefined;
  if (Buffer.byteLength(JSON.stringify(body.metadata)) <= METADATA_BYTES_MAX) return undefined;
  return { path: 'metadata', message: `must be at most ${METADATA_BYTES_MAX} bytes as JSON` };
}

/** Total over the outcomes: a new one does not compile until it has an answer. */
function answer(
  reply: FastifyReply,
  outcome: PlaceOrderOutcome,
  clock: () => number,
): FastifyReply {
  switch (outcome.type) {
    case 'accepted':
      if (outcome.replayed) reply.header('idempotency-replayed', 'true');
      return reply
        .code(201)
        .header('location', `/orders/${outcome.order.id}`)
        .send(orderJson(outcome.order));
    case 'refused':
      return sendProblem(reply, outcome.code, refusalExtras(outcome, clock));
    case 'key-reused':
      return sendProblem(reply, 'idempotency-key-reused');
    case 'shed':
      return sendProblem(reply, outcome.code);
    case 'unknown':
      return sendProblem(reply, 'outcome-unknown', { orderId: outcome.orderId });
    default:
      return unreachable(outcome);
  }
}

function refusalExtras(refusal: Refusal, clock: () => number): ProblemExtras {
  const { items, startsAt } = refusal;
  if (startsAt === undefined) return { items };
  const seconds = Math.max(1, Math.ceil((startsAt - clock()) / 1000));
  return { items, startsAt, retryAfterSeconds: seconds };
}
