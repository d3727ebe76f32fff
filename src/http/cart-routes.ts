/** Carts as a whole; their lines and their checkout have files of their own. */
import type { FastifyInstance } from 'fastify';

import type { Carts } from '../domain/cart.ts';
import { identityOf } from './authenticate.ts';
import type { AuthenticateHook } from './authenticate.ts';
import { answerCart, refuseCart } from './cart-answer.ts';
import { cartJsonOf } from './cart-json.ts';
import { CREATE_CART_BYTES_MAX, createCartBody } from './cart-schemas.ts';
import type { CreateCartBody } from './cart-schemas.ts';
import { idempotencyKeyOf } from './idempotency-key.ts';
import { pageSchemaOf, schemaRef } from './json-schema.ts';
import { quantitiesIssue, requestedLines } from './order-request.ts';
import { CURSOR_ISSUE, pageJson, pageRequestOf } from './page-request.ts';
import { sendProblem } from './problem.ts';
import { documented } from './route-doc.ts';
import { idParams, keyHeaders, pageQuery } from './shared-schemas.ts';
import type { IdParams, PageQuery } from './shared-schemas.ts';
import { cartOf, visibleCart } from './visible-cart.ts';

/** What the routes need. */
export interface CartDeps {
  readonly carts: Carts;
  readonly authenticate: AuthenticateHook;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
}

const CREATE = documented({
  operationId: 'createCart',
  summary: 'Begin a cart',
  tag: 'carts',
  auth: 'required',
  headers: keyHeaders,
  body: { schema: createCartBody, bytesMax: CREATE_CART_BYTES_MAX },
  success: {
    status: 201,
    description: 'The cart; with a key that was used before, the cart as it was made then.',
    schema: schemaRef('Cart'),
    headers: {
      Location: 'The address of the cart.',
      'Idempotency-Replayed': '`true` when an earlier request made it.',
    },
  },
  errors: [
    'forbidden',
    'product-not-found',
    'idempotency-key-reused',
    'database-unavailable',
    'outcome-unknown',
  ],
});

const LIST = documented({
  operationId: 'listCarts',
  summary: 'Your carts, newest first',
  tag: 'carts',
  auth: 'required',
  query: pageQuery,
  success: { status: 200, description: 'A page of carts.', schema: pageSchemaOf('Cart') },
  errors: ['database-unavailable'],
});

const GET = documented({
  operationId: 'getCart',
  summary: 'One of your carts, at the prices and stock of now',
  tag: 'carts',
  auth: 'required',
  params: idParams,
  success: { status: 200, description: 'The cart.', schema: schemaRef('Cart') },
  errors: ['cart-not-found', 'database-unavailable'],
});

const DELETE = documented({
  operationId: 'deleteCart',
  summary: 'Delete one of your carts that was not ordered',
  tag: 'carts',
  auth: 'required',
  params: idParams,
  success: { status: 204, description: 'It is gone.', schema: null },
  errors: ['cart-not-found', 'cart-closed', 'database-unavailable', 'outcome-unknown'],
});

/** Adds POST /carts, GET /carts, and GET and DELETE /carts/{id}. */
export function addCartRoutes(app: FastifyInstance, deps: CartDeps): void {
  addCreate(app, deps);
  const { carts, authenticate, clock } = deps;
  const sight = { find: carts.findCart.bind(carts), clock };

  app.get<{ Querystring: PageQuery }>(
    '/carts',
    { ...LIST, onRequest: authenticate },
    async (request, reply) => {
      const asked = pageRequestOf(request.query);
      if (asked === undefined) return sendProblem(reply, 'validation', { errors: [CURSOR_ISSUE] });
      const { items, next } = await carts.listCarts(identityOf(request).userId, asked);
      return pageJson({ items: await cartJsonOf(deps, items), next }, (json) => json);
    },
  );

  app.get<{ Params: IdParams }>(
    '/carts/:id',
    { ...GET, onRequest: authenticate },
    async (request, reply) => {
      const cart = await visibleCart(sight, request.params.id, reply);
      if (cart === undefined) return reply;
      const [json] = await cartJsonOf(deps, [cart]);
      return json;
    },
  );

  app.delete<{ Params: IdParams }>(
    '/carts/:id',
    { ...DELETE, onRequest: authenticate },
    async (request, reply) => {
      const refusal = await carts.deleteCart(cartOf(request));
      return refusal === null ? reply.code(204).send() : refuseCart(reply, refusal);
    },
  );
}

function addCreate(app: FastifyInstance, deps: CartDeps): void {
  const { carts, authenticate } = deps;
  app.post<{ Body: CreateCartBody | undefined }>(
    '/carts',
    { ...CREATE, onRequest: authenticate },
    async (request, reply) => {
      const { userId, role } = identityOf(request);
      if (role !== 'customer') return sendProblem(reply, 'forbidden');
      const lines = requestedLines(request.body?.items ?? []);
      const issue = quantitiesIssue(lines);
      if (issue !== undefined) return sendProblem(reply, 'validation', { errors: [issue] });
      const idempotencyKey = idempotencyKeyOf(request.raw.headers);
      const outcome = await carts.createCart({ userId, idempotencyKey, lines });
      return answerCart(reply, outcome, { ...deps, status: 201 });
    },
  );
}
