/** The lines of a cart. Every change is decided by the stored cart, never by a copy of it. */
import type { FastifyInstance } from 'fastify';

import { parseProductId } from '../domain/ids.ts';
import type { ProductId } from '../domain/ids.ts';
import { answerCart } from './cart-answer.ts';
import type { CartDeps } from './cart-routes.ts';
import {
  addItemBody,
  CART_ITEM_BYTES_MAX,
  cartItemParams,
  setQuantityBody,
} from './cart-schemas.ts';
import type { AddItemBody, CartItemParams, SetQuantityBody } from './cart-schemas.ts';
import { idempotencyKeyOf } from './idempotency-key.ts';
import { schemaRef } from './json-schema.ts';
import { documented } from './route-doc.ts';
import { idParams, keyHeaders } from './shared-schemas.ts';
import type { IdParams } from './shared-schemas.ts';
import { cartOf } from './visible-cart.ts';

const ADD = documented({
  operationId: 'addCartItem',
  summary: 'Add units of a product to a cart',
  tag: 'carts',
  auth: 'required',
  params: idParams,
  headers: keyHeaders,
  body: { schema: addItemBody, bytesMax: CART_ITEM_BYTES_MAX },
  success: {
    status: 200,
    description: 'The cart; with a key that was used before, the cart as it was right after.',
    schema: schemaRef('Cart'),
    headers: { 'Idempotency-Replayed': '`true` when an earlier request added the units.' },
  },
  errors: [
    'cart-not-found',
    'cart-closed',
    'product-not-found',
    'idempotency-key-reused',
    'database-unavailable',
    'outcome-unknown',
  ],
});

const SET = documented({
  operationId: 'setCartItemQuantity',
  summary: 'Set the units of a product that a cart has',
  tag: 'carts',
  auth: 'required',
  params: cartItemParams,
  body: { schema: setQuantityBody, bytesMax: CART_ITEM_BYTES_MAX },
  success: { status: 200, description: 'The cart.', schema: schemaRef('Cart') },
  errors: [
    'cart-not-found',
    'cart-closed',
    'product-not-found',
    'database-unavailable',
    'outcome-unknown',
  ],
});

const REMOVE = documented({
  operationId: 'removeCartItem',
  summary: 'Take a product out of a cart',
  tag: 'carts',
  auth: 'required',
  params: cartItemParams,
  success: { status: 200, description: 'The cart.', schema: schemaRef('Cart') },
  errors: [
    'cart-not-found',
    'cart-closed',
    'product-not-found',
    'database-unavailable',
    'outcome-unknown',
  ],
});

/** Adds POST /carts/{id}/items, and PATCH and DELETE /carts/{id}/items/{product_id}. */
export function addCartItemRoutes(app: FastifyInstance, deps: CartDeps): void {
  const { carts, authenticate } = deps;
  const success = { ...deps, status: 200 } as const;

  app.post<{ Params: IdParams; Body: AddItemBody }>(
    '/carts/:id/items',
    { ...ADD, onRequest: authenticate },
    async (request, reply) => {
      const { product_id: id, quantity } = request.body;
      const line = { productId: productIdOf(id), quantity };
      const idempotencyKey = idempotencyKeyOf(request.raw.headers);
      const outcome = await carts.addItem({ ...cartOf(request), idempotencyKey, line });
      return answerCart(reply, outcome, success);
    },
  );

  app.patch<{ Params: CartItemParams; Body: SetQuantityBody }>(
    '/carts/:id/items/:product_id',
    { ...SET, onRequest: authenticate },
    async (request, reply) => {
      const { quantity } = request.body;
      const line = { productId: productIdOf(request.params.product_id), quantity };
      const outcome = await carts.setQuantity({ ...cartOf(request), line });
      return answerCart(reply, outcome, success);
    },
  );

  app.delete<{ Params: CartItemParams }>(
    '/carts/:id/items/:product_id',
    { ...REMOVE, onRequest: authenticate },
    async (request, reply) => {
      const productId = productIdOf(request.params.product_id);
      const outcome = await carts.removeItem({ ...cartOf(request), productId });
      return answerCart(reply, outcome, success);
    },
  );
}

function productIdOf(text: string): ProductId {
  const productId = parseProductId(text);
  if (productId === undefined) throw new Error('a product id passed validation and is none');
  return productId;
}
