import { describe, expect, test } from 'vitest';

import { ERRORS } from '../../src/domain/errors.ts';
import type { RefusalRecord } from '../../src/domain/inspection.ts';
import { REFUSAL_CODES } from '../../src/domain/outcome.ts';
import { expectInvalid, expectProblem } from './expect-problem.ts';
import {
  CUSTOMER,
  makeOrder,
  MERCHANT,
  NOW,
  orderId,
  productId,
  STRANGER,
  TestApp,
} from './fake-ports.ts';

const URL = '/decisions?key=k-1';
const NAME = `${CUSTOMER} k-1`;

const REFUSAL: RefusalRecord = {
  id: orderId(9),
  code: 'out-of-stock',
  decidedAt: NOW,
  items: [{ productId: productId(1), requested: 3, available: 2, ahead: 998 }],
};

describe('the decision of a key', () => {
  test('that made an order names it, and how many were served before', async () => {
    const app = new TestApp();
    app.decisions.accepted.set(NAME, makeOrder(1));
    const response = await app.get(URL, app.customer);
    expect(response.statusCode).toBe(200);
    expect(response.json()).toStrictEqual({
      key: 'k-1',
      user_id: CUSTOMER,
      decision: 'accepted',
      order_id: orderId(1),
      code: null,
      detail: null,
      decided_at: '2030-01-02T03:04:05.679Z',
      items: [{ product_id: productId(1), quantity: 2, sequence: 7, ahead: 6, available: null }],
    });
  });

  test('that was refused says why, when, and how many were served before', async () => {
    const app = new TestApp();
    app.inspector.refusals.set(NAME, REFUSAL);
    expect((await app.get(URL, app.customer)).json()).toStrictEqual({
      key: 'k-1',
      user_id: CUSTOMER,
      decision: 'refused',
      order_id: null,
      code: 'out-of-stock',
      detail: ERRORS['out-of-stock'].detail,
      decided_at: '2030-01-02T03:04:05.678Z',
      items: [{ product_id: productId(1), quantity: 3, sequence: null, ahead: 998, available: 2 }],
    });
  });

  test.each(REFUSAL_CODES)('has a sentence for each refusal: %s', async (code) => {
    const app = new TestApp();
    app.inspector.refusals.set(NAME, { ...REFUSAL, code });
    const { detail } = ERRORS[code];
    expect((await app.get(URL, app.customer)).json()).toMatchObject({ code, detail });
  });

  test('is its order even when an earlier try was refused', async () => {
    const app = new TestApp();
    app.inspector.refusals.set(NAME, REFUSAL);
    app.decisions.accepted.set(NAME, makeOrder(1));
    expect((await app.get(URL, app.customer)).json()).toMatchObject({ decision: 'accepted' });
  });

  test('is honestly not known when there is neither', async () => {
    const app = new TestApp();
    app.decisions.accepted.set(`${STRANGER} k-1`, makeOrder(1));
    expectProblem(await app.get(URL, app.customer), 'decision-not-known');
  });

  test('may still come of an order that is not settled, whatever was refused before (I8)', async () => {
    const app = new TestApp();
    const id = app.decisions.orderIdOf({ userId: CUSTOMER, key: 'k-1' });
    app.inspector.refusals.set(NAME, REFUSAL);
    app.gateway.unsettled.set(id, CUSTOMER);
    const unsettled = await app.get(URL, app.customer);
    expectProblem(unsettled, 'outcome-unknown');
    app.gateway.unsettled.clear();
    app.notReady = 'taking over';
    expectProblem(await app.get(URL, app.customer), 'outcome-unknown');
    app.decisions.accepted.set(NAME, makeOrder(1));
    expect((await app.get(URL, app.customer)).statusCode).toBe(200);
  });
});

describe('who may ask', () => {
  test('anybody for the own keys, an admin for those of others', async () => {
    const app = new TestApp();
    app.inspector.refusals.set(NAME, REFUSAL);
    const url = `${URL}&user_id=${CUSTOMER.toUpperCase()}`;
    expectProblem(await app.get(url), 'unauthenticated');
    for (const asker of [app.bearer(STRANGER, 'customer'), app.bearer(MERCHANT, 'merchant')]) {
      expectProblem(await app.get(url, asker), 'forbidden');
      expectProblem(await app.get(URL, asker), 'decision-not-known');
    }
    expect((await app.get(url, app.customer)).json()).toMatchObject({ user_id: CUSTOMER });
    expect((await app.get(url, app.admin)).json()).toMatchObject({ user_id: CUSTOMER });
    expectProblem(await app.get(URL, app.admin), 'decision-not-known');
  });

  test.each([
    ['/decisions', 'query.key'],
    ['/decisions?key=', 'query.key'],
    ['/decisions?key=a%20b', 'query.key'],
    [`${URL}&user_id=me`, 'query.user_id'],
  ])('and nobody for %s', async (url, path) => {
    const app = new TestApp();
    expect(expectInvalid(await app.get(url, app.customer))).toEqual([path]);
  });
});
