/** Who may do what, route by route. Somebody else's order is not there; a product that is seen is. */
import type { InjectOptions } from 'fastify';
import { describe, expect, test } from 'vitest';

import type { UserId } from '../../src/domain/ids.ts';
import type { Role } from '../../src/domain/user.ts';
import {
  ADMIN,
  CUSTOMER,
  makeOrder,
  makeProduct,
  MERCHANT,
  orderId,
  OTHER_MERCHANT,
  productId,
  STRANGER,
  TestApp,
} from './fake-ports.ts';

/** The order is CUSTOMER's, its product MERCHANT's. */
const ASKERS = {
  nobody: null,
  owner: [CUSTOMER, 'customer'],
  stranger: [STRANGER, 'customer'],
  merchant: [MERCHANT, 'merchant'],
  'other merchant': [OTHER_MERCHANT, 'merchant'],
  admin: [ADMIN, 'admin'],
} as const satisfies Record<string, readonly [UserId, Role] | null>;
type Asker = keyof typeof ASKERS;

type Answers = Readonly<Record<Asker, number>>;

const ADMIN_ALONE = {
  nobody: 401,
  owner: 403,
  stranger: 403,
  merchant: 403,
  'other merchant': 403,
} as const;
const REASON = { reason: 'a wrong price' };
const STOCK = { delta: 1, reason: 'delivery' };
const ORDER = { items: [{ product_id: productId(1), quantity: 1 }] };
const CASES: readonly [method: 'GET' | 'POST' | 'PUT', url: string, Answers, body?: object][] = [
  // prettier-ignore
  ['POST', '/orders', { nobody: 401, owner: 201, stranger: 201, merchant: 403, 'other merchant': 403, admin: 403 }, ORDER],
  // prettier-ignore
  ['GET', '/orders', { nobody: 401, owner: 200, stranger: 200, merchant: 200, 'other merchant': 200, admin: 200 }],
  // prettier-ignore
  ['GET', `/orders/${orderId(1)}`, { nobody: 401, owner: 200, stranger: 404, merchant: 404, 'other merchant': 404, admin: 200 }],
  // prettier-ignore
  ['GET', `/orders/${orderId(1)}/events`, { nobody: 401, owner: 200, stranger: 404, merchant: 404, 'other merchant': 404, admin: 200 }],
  // prettier-ignore
  ['POST', `/orders/${orderId(1)}/cancel`, { nobody: 401, owner: 200, stranger: 404, merchant: 403, 'other merchant': 403, admin: 200 }, {}],
  // prettier-ignore
  ['POST', `/products/${productId(1)}/stock`, { nobody: 401, owner: 403, stranger: 403, merchant: 200, 'other merchant': 403, admin: 200 }, STOCK],
  // prettier-ignore
  ['GET', `/decisions?key=k-1&user_id=${CUSTOMER}`, { nobody: 401, owner: 200, stranger: 403, merchant: 403, 'other merchant': 403, admin: 200 }],
  ['GET', '/admin/actors', { ...ADMIN_ALONE, admin: 200 }],
  ['GET', '/admin/shards', { ...ADMIN_ALONE, admin: 200 }],
  ['GET', '/admin/batches', { ...ADMIN_ALONE, admin: 200 }],
  ['GET', '/admin/actions', { ...ADMIN_ALONE, admin: 200 }],
  ['GET', `/admin/actors/${productId(1)}`, { ...ADMIN_ALONE, admin: 200 }],
  ['POST', `/admin/products/${productId(1)}/pause`, { ...ADMIN_ALONE, admin: 200 }, REASON],
  ['POST', `/admin/products/${productId(1)}/resume`, { ...ADMIN_ALONE, admin: 200 }, REASON],
  ['POST', `/admin/shards/0/restart`, { ...ADMIN_ALONE, admin: 200 }, REASON],
  ['POST', `/admin/orders/${orderId(1)}/release`, { ...ADMIN_ALONE, admin: 200 }, REASON],
  // prettier-ignore
  ['GET', `/users/${CUSTOMER}`, { nobody: 401, owner: 404, stranger: 403, merchant: 403, 'other merchant': 403, admin: 404 }],
  // prettier-ignore
  ['PUT', `/users/${CUSTOMER}/role`, { nobody: 401, owner: 403, stranger: 403, merchant: 403, 'other merchant': 403, admin: 404 }, { role: 'admin' }],
];

describe.each(CASES)('%s %s', (...[method, url, answers, payload]) => {
  test.each(Object.entries(ASKERS))('by %s', async (name, asker) => {
    const app = new TestApp();
    app.catalogue.rows.push(makeProduct(1));
    app.orders.rows.push(makeOrder(1));
    app.orders.events.set(orderId(1), []);
    app.decisions.accepted.set(`${CUSTOMER} k-1`, makeOrder(1));
    const headers = asker === null ? {} : app.bearer(asker[0], asker[1]);
    const request: InjectOptions = { method, url, headers };
    const response = await app.send(payload === undefined ? request : { ...request, payload });
    const expected = new Map(Object.entries(answers)).get(name);
    expect(response.statusCode, response.body).toBe(expected);
    if (response.statusCode >= 400) {
      expect(app.gateway.changed).toEqual([]);
      expect(app.gateway.statusChanges).toEqual([]);
      expect(app.gateway.edits).toEqual([]);
      expect(app.control.restarted).toEqual([]);
    }
  });
});

test('an order belongs to who the token says, and so do the ones that are listed', async () => {
  const app = new TestApp();
  app.orders.rows.push(makeOrder(1), makeOrder(2, { userId: STRANGER }));
  await app.post('/orders', ORDER, app.bearer(STRANGER, 'customer'));
  expect(app.gateway.placed.map(({ userId }) => userId)).toEqual([STRANGER]);
  for (const [id, role] of [ASKERS.owner, ASKERS.stranger, ASKERS.admin]) {
    const list = await app.get('/orders', app.bearer(id, role));
    const { items } = list.json<{ items: { id: string }[] }>();
    const own = app.orders.rows.filter(({ userId }) => userId === id);
    expect(items.map((order) => order.id)).toEqual(own.map((order) => order.id));
  }
});
