import { describe, expect, test } from 'vitest';

import { AppError } from '../../src/domain/errors.ts';
import type { ErrorCode } from '../../src/domain/errors.ts';
import type { ChangeStatusOutcome, EditProductOutcome } from '../../src/domain/outcome.ts';
import { expectInvalid, expectProblem } from './expect-problem.ts';
import { makeShard } from './fake-engine.ts';
import { ADMIN, makeOrder, makeProduct, MERCHANT, orderId, productId, TestApp } from './fake-ports.ts'; // prettier-ignore
import { widestJson } from './widest-json.ts';

const PAUSE = `/admin/products/${productId(1)}/pause`;
const RESUME = `/admin/products/${productId(1)}/resume`;
const RESTART = '/admin/shards/1/restart';
const RELEASE = `/admin/orders/${orderId(1)}/release`;
const ALL = [PAUSE, RESUME, RESTART, RELEASE];
const REASON = { reason: 'a wrong price' };

/** An app in which edits and changes of status take effect in the other ports. */
function setUp(status: 'active' | 'paused' | 'draft' | 'archived' = 'active') {
  const app = new TestApp();
  app.catalogue.rows.push(makeProduct(1, { status }));
  app.orders.rows.push(makeOrder(1));
  app.gateway.editOutcome = ({ changes }) => {
    const product = makeProduct(1, { ...changes, version: 2 });
    app.catalogue.rows.splice(0, 1, product);
    return { type: 'edited', version: 2 };
  };
  app.gateway.onStatusChange = () => app.orders.change(1, { status: 'CANCELLED' });
  const keyed = (key: string) => ({ ...app.admin, 'idempotency-key': key });
  const outcomes = () => app.operatorLog.rows.map(({ kind, outcome }) => [kind, outcome]);
  return { app, keyed, outcomes };
}

describe.each(ALL)('%s', (url) => {
  test('is for admins, and leaves no trace of anybody else', async () => {
    const { app } = setUp();
    expectProblem(await app.post(url, REASON), 'unauthenticated');
    for (const asker of [app.customer, app.bearer(MERCHANT, 'merchant')]) {
      expectProblem(await app.post(url, REASON, asker), 'forbidden');
      expectProblem(await app.post(url, {}, asker), 'forbidden');
    }
    expect(app.operatorLog.rows).toEqual([]);
  });

  test('wants a reason, and nothing else', async () => {
    const { app } = setUp();
    for (const [body, path] of [
      [{}, 'reason'],
      [{ reason: null }, 'reason'],
      [{ reason: '' }, 'reason'],
      [{ reason: 'x'.repeat(201) }, 'reason'],
      [{ reason: 'x', force: true }, 'force'],
    ] as const) {
      expect(expectInvalid(await app.post(url, body, app.admin))).toEqual([path]);
    }
    expect(app.operatorLog.rows).toEqual([]);
    const headers = { ...app.admin, 'content-type': 'application/json' };
    const payload = widestJson({ reason: '\u{1f600}'.repeat(200) });
    const widest = await app.send({ method: 'POST', url, payload, headers });
    expect(expectNoProblem(widest.statusCode)).toBe(true);
  });

  test('is recorded before it is done, and not done when it cannot be', async () => {
    const { app } = setUp();
    app.operatorLog.record = async () => {
      throw new AppError('database-unavailable');
    };
    expectProblem(await app.post(url, REASON, app.admin), 'database-unavailable');
    expect(app.gateway.edits).toEqual([]);
    expect(app.gateway.statusChanges).toEqual([]);
    expect(app.control.restarted).toEqual([]);
  });

  test('under a key of another request is not done', async () => {
    const { app, keyed } = setUp();
    await app.post(url, REASON, keyed('k-1'));
    const other = await app.post(url, { reason: 'another' }, keyed('k-1'));
    expectProblem(other, 'idempotency-key-reused');
    expect(app.operatorLog.rows).toHaveLength(1);
  });

  test('that was done is answered as done even when that cannot be noted', async () => {
    const { app, outcomes } = setUp(url === RESUME ? 'paused' : 'active');
    app.operatorLog.failure = new AppError('database-unavailable');
    expect((await app.post(url, REASON, app.admin)).statusCode).toBe(200);
    expect(outcomes()).toMatchObject([[expect.any(String), null]]);
    expect(app.log).toContainEqual(
      expect.objectContaining({ level: 40, msg: 'an action of an operator was not settled' }),
    );
  });
});

/** Whatever it came to: the body was read. */
function expectNoProblem(status: number): boolean {
  return status === 200 || status === 409;
}

describe('a pause', () => {
  test('takes an active product off sale, at the version that was looked at', async () => {
    const { app } = setUp();
    const response = await app.post(PAUSE, REASON, app.admin);
    expect(response.statusCode).toBe(200);
    expect(response.json()).toMatchObject({ id: productId(1), status: 'paused', version: 2 });
    expect(response.headers.etag).toBe('W/"2-10"');
    expect(app.gateway.edits).toEqual([
      {
        author: ADMIN,
        productId: productId(1),
        ifVersion: 1,
        changes: { status: 'paused' },
        reason: 'a wrong price',
        traceparent: null,
      },
    ]);
    expect(app.operatorLog.rows).toMatchObject([
      { kind: 'pause', target: productId(1), ...REASON, author: ADMIN, outcome: 'done' },
    ]);
  });

  test.each([
    [PAUSE, 'paused'],
    [RESUME, 'active'],
  ] as const)('%s of what is %s already is a success', async (url, status) => {
    const { app, outcomes } = setUp(status);
    const response = await app.post(url, REASON, app.admin);
    expect(response.json()).toMatchObject({ status, version: 1 });
    expect(app.gateway.edits).toEqual([]);
    expect(outcomes()).toMatchObject([[expect.any(String), 'done']]);
  });

  test.each([
    [PAUSE, 'draft', 'product-not-pausable'],
    [PAUSE, 'archived', 'product-not-pausable'],
    [RESUME, 'draft', 'product-not-paused'],
    [RESUME, 'archived', 'product-not-paused'],
  ] as const)('%s of a product that is %s is refused', async (url, status, code) => {
    const { app, outcomes } = setUp(status);
    expectProblem(await app.post(url, REASON, app.admin), code);
    expect(app.gateway.edits).toEqual([]);
    expect(outcomes()).toMatchObject([[expect.any(String), code]]);
  });

  test('of no product is 404, and nothing to remember', async () => {
    const { app } = setUp();
    const url = `/admin/products/${productId(9)}/pause`;
    expectProblem(await app.post(url, REASON, app.admin), 'product-not-found');
    expect(app.operatorLog.rows).toEqual([]);
  });

  test('is ended by a resume', async () => {
    const { app, outcomes } = setUp('paused');
    const response = await app.post(RESUME, REASON, app.admin);
    expect(response.json()).toMatchObject({ status: 'active' });
    expect(outcomes()).toEqual([['resume', 'done']]);
  });

  test('never brings back what its merchant archived at the same moment', async () => {
    const { app, outcomes } = setUp();
    app.gateway.editOutcome = () => {
      app.catalogue.rows.splice(0, 1, makeProduct(1, { status: 'archived', version: 2 }));
      return { type: 'version-differs', version: 2 };
    };
    expectProblem(await app.post(PAUSE, REASON, app.admin), 'product-not-pausable');
    expect(app.gateway.edits).toHaveLength(1);
    expect(outcomes()).toEqual([['pause', 'product-not-pausable']]);
  });

  test('of a product that is edited again and again gives up (I9)', async () => {
    const { app, outcomes } = setUp();
    app.gateway.editOutcome = () => ({ type: 'version-differs', version: 2 });
    expectProblem(await app.post(PAUSE, REASON, app.admin), 'overloaded');
    expect(app.gateway.edits).toHaveLength(3);
    expect(outcomes()).toEqual([['pause', 'overloaded']]);
  });

  test.each([
    [{ type: 'shed', code: 'overloaded' }, 'overloaded'],
    [{ type: 'unknown', orderId: null }, 'outcome-unknown'],
    [{ type: 'refused', code: 'product-not-found' }, 'product-not-found'],
  ] as const satisfies readonly (readonly [EditProductOutcome, ErrorCode])[])(
    'that comes to %o is answered and settled as %s (I8)',
    async (outcome, code) => {
      const { app, outcomes } = setUp();
      app.gateway.editOutcome = () => outcome;
      expectProblem(await app.post(PAUSE, REASON, app.admin), code);
      expect(outcomes()).toEqual([['pause', code]]);
    },
  );

  test('that meets an error is settled with its code', async () => {
    const { app, outcomes } = setUp();
    const find = app.catalogue.findProduct.bind(app.catalogue);
    let looks = 0;
    app.catalogue.findProduct = async (id) => {
      looks += 1;
      if (looks === 2) throw new AppError('database-unavailable');
      if (looks === 4) throw new Error('a defect');
      return find(id);
    };
    expectProblem(await app.post(PAUSE, REASON, app.admin), 'database-unavailable');
    expectProblem(await app.post(PAUSE, REASON, app.admin), 'internal');
    expect(outcomes()).toEqual([
      ['pause', 'database-unavailable'],
      ['pause', 'internal'],
    ]);
  });
});

describe('a repeat under the same key', () => {
  test('of what was done does nothing, and shows the product as it is now (I3)', async () => {
    const { app, keyed, outcomes } = setUp();
    await app.post(PAUSE, REASON, keyed('k-1'));
    await app.post(RESUME, REASON, keyed('k-2'));
    const again = await app.post(PAUSE, REASON, keyed('k-1'));
    expect(again.statusCode).toBe(200);
    expect(again.headers['idempotency-replayed']).toBe('true');
    expect(again.json()).toMatchObject({ status: 'active' });
    expect(app.gateway.edits).toHaveLength(2);
    expect(outcomes()).toEqual([
      ['pause', 'done'],
      ['resume', 'done'],
    ]);
  });

  test('of what was refused or shed is tried again, and settled anew', async () => {
    const { app, keyed, outcomes } = setUp();
    const { editOutcome } = app.gateway;
    app.gateway.editOutcome = () => ({ type: 'shed', code: 'overloaded' });
    expectProblem(await app.post(PAUSE, REASON, keyed('k-1')), 'overloaded');
    app.gateway.editOutcome = editOutcome;
    const again = await app.post(PAUSE, REASON, keyed('k-1'));
    expect(again.json()).toMatchObject({ status: 'paused' });
    expect(again.headers).not.toHaveProperty('idempotency-replayed');
    expect(outcomes()).toEqual([['pause', 'done']]);
  });

  test('of what was cut off is done', async () => {
    const { app, keyed, outcomes } = setUp();
    app.operatorLog.failure = new AppError('database-unavailable');
    await app.post(RESTART, REASON, keyed('k-1'));
    app.operatorLog.failure = null;
    await app.post(RESTART, REASON, keyed('k-1'));
    expect(app.control.restarted).toEqual([1, 1]);
    expect(outcomes()).toEqual([['restart', 'done']]);
  });
});

describe('a restart of a shard', () => {
  test('answers the owner that serves in its place', async () => {
    const { app } = setUp();
    const response = await app.post(RESTART, REASON, app.admin);
    expect(response.statusCode).toBe(200);
    expect(response.json()).toStrictEqual({ shard: 1, owner_id: 99 });
    expect(app.control.restarted).toEqual([1]);
    expect(app.operatorLog.rows).toMatchObject([
      { kind: 'restart', target: '1', ...REASON, outcome: 'done' },
    ]);
  });

  test('that was done is not repeated under its key (I3)', async () => {
    const { app, keyed } = setUp();
    await app.post(RESTART, REASON, keyed('k-1'));
    app.inspector.shardRows[1] = makeShard(1, { ownerId: makeShard(120).ownerId });
    const again = await app.post(RESTART, REASON, keyed('k-1'));
    expect(again.headers['idempotency-replayed']).toBe('true');
    expect(again.json()).toStrictEqual({ shard: 1, owner_id: 127 });
    expect(app.control.restarted).toEqual([1]);
  });

  test('that takes too long is unknown, and a repeat tells its end without another one (I8)', async () => {
    const { app, keyed, outcomes } = setUp();
    app.control.outcome = undefined;
    expectProblem(await app.post(RESTART, REASON, keyed('k-1')), 'outcome-unknown');
    app.inspector.shardRows[1] = makeShard(1, { state: 'replacing', inside: null });
    expectProblem(await app.post(RESTART, REASON, keyed('k-1')), 'outcome-unknown');
    expect(outcomes()).toEqual([['restart', 'outcome-unknown']]);
    app.inspector.shardRows[1] = makeShard(1);
    const again = await app.post(RESTART, REASON, keyed('k-1'));
    expect(again.json()).toStrictEqual({ shard: 1, owner_id: 8 });
    expect(app.control.restarted).toEqual([1]);
    expect(outcomes()).toEqual([['restart', 'done']]);
  });

  test('is for a shard that there is', async () => {
    const { app } = setUp();
    expectProblem(await app.post('/admin/shards/2/restart', REASON, app.admin), 'not-found');
    for (const n of ['x', '-1', '01', '1.5', '10000']) {
      const response = await app.post(`/admin/shards/${n}/restart`, REASON, app.admin);
      expect(expectInvalid(response)).toEqual(['params.n']);
    }
    expect(app.operatorLog.rows).toEqual([]);
    expect(app.control.restarted).toEqual([]);
  });
});

describe('a release of an order', () => {
  test('cancels what waits for payment, with author and reason', async () => {
    const { app, keyed } = setUp();
    const response = await app.post(RELEASE, REASON, keyed('k-1'));
    expect(response.statusCode).toBe(200);
    expect(response.json()).toMatchObject({ id: orderId(1), status: 'CANCELLED' });
    expect(app.gateway.statusChanges).toEqual([
      {
        author: ADMIN,
        idempotencyKey: null,
        orderId: orderId(1),
        productIds: [productId(1)],
        from: ['WAITING_PAYMENT'],
        to: 'CANCELLED',
        detail: null,
        reason: 'a wrong price',
        traceparent: null,
      },
    ]);
    const again = await app.post(RELEASE, REASON, keyed('k-1'));
    expect(again.headers['idempotency-replayed']).toBe('true');
    expect(again.json()).toMatchObject({ status: 'CANCELLED' });
    expect(app.gateway.statusChanges).toHaveLength(1);
    expect(app.operatorLog.rows).toMatchObject([
      { kind: 'release', target: orderId(1), ...REASON, outcome: 'done' },
    ]);
  });

  test.each([
    [{ type: 'not-changeable', status: 'PAID' }, 'order-not-cancellable'],
    [{ type: 'not-changeable', status: 'EXPIRED' }, 'order-not-cancellable'],
    [{ type: 'shed', code: 'shutting-down' }, 'shutting-down'],
    [{ type: 'unknown', orderId: null }, 'outcome-unknown'],
    [{ type: 'key-reused' }, 'idempotency-key-reused'],
  ] as const satisfies readonly (readonly [ChangeStatusOutcome, ErrorCode])[])(
    'that comes to %o is answered and settled as %s (I8)',
    async (outcome, code) => {
      const { app, outcomes } = setUp();
      app.gateway.statusOutcome = outcome;
      const problem = expectProblem(await app.post(RELEASE, REASON, app.admin), code);
      if (outcome.type === 'not-changeable') expect(problem.order_status).toBe(outcome.status);
      expect(outcomes()).toEqual([['release', code]]);
    },
  );

  test('of one that was cancelled before is a success', async () => {
    const { app, outcomes } = setUp();
    app.gateway.statusOutcome = { type: 'not-changeable', status: 'CANCELLED' };
    const response = await app.post(RELEASE, REASON, app.admin);
    expect(response.json()).toMatchObject({ status: 'CANCELLED' });
    expect(outcomes()).toEqual([['release', 'done']]);
  });

  test('of no order is 404, and 503 while it may still appear (I8)', async () => {
    const { app } = setUp();
    const url = `/admin/orders/${orderId(9)}/release`;
    expectProblem(await app.post(url, REASON, app.admin), 'order-not-found');
    app.gateway.unsettled.set(orderId(9), MERCHANT);
    expectProblem(await app.post(url, REASON, app.admin), 'outcome-unknown');
    expect(app.operatorLog.rows).toEqual([]);
  });
});
