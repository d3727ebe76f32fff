import { describe, expect, test } from 'vitest';

import { partitionOf } from '../../src/domain/ids.ts';
import { expectInvalid, expectProblem } from './expect-problem.ts';
import { makeActor, makeBatch, makeShard } from './fake-engine.ts';
import { ADMIN, CUSTOMER, makeProduct, MERCHANT, NOW, productId, TestApp } from './fake-ports.ts';

const ACTOR = {
  product_id: productId(1),
  name: 'Product 1',
  status: 'active',
  shard: 0,
  partition: partitionOf(productId(1)),
  owner_id: 7,
  mailbox: { depth: 3, bound: 5000, oldest_ms: 1.235 },
  decided: 2,
  committing: 4,
  stock: { available: 10, held: 5, sold: 6 },
  lapsing: { within_10s: 1, within_60s: 2 },
  orders_per_second: { s1: 100, s10: 90.5, s60: 20 },
  refused: { 'out-of-stock': 8 },
  sequence: 11,
  sold_out_at: null,
};

const URLS = [
  '/admin/actors',
  `/admin/actors/${productId(1)}`,
  '/admin/shards',
  '/admin/batches',
  '/admin/actions',
  '/admin/events',
];

test.each(URLS)('%s is for admins, whatever is asked', async (url) => {
  const app = new TestApp();
  expectProblem(await app.get(url), 'unauthenticated');
  for (const asker of [app.customer, app.bearer(MERCHANT, 'merchant')]) {
    expectProblem(await app.get(url, asker), 'forbidden');
    expectProblem(await app.get(`${url}?limit=many`, asker), 'forbidden');
  }
  expect(app.inspector.asked).toEqual([]);
});

describe('GET /admin/actors', () => {
  test('shows what the inspector finds, by rate unless asked otherwise', async () => {
    const app = new TestApp();
    app.inspector.actorRows.push(makeActor(productId(1)), makeActor(productId(2)));
    const response = await app.get('/admin/actors', app.admin);
    expect(response.statusCode).toBe(200);
    const other = { ...ACTOR, product_id: productId(2), partition: partitionOf(productId(2)) };
    expect(response.json()).toStrictEqual({ items: [ACTOR, other] });
    const one = await app.get('/admin/actors?sort=oldest&limit=1', app.admin);
    expect(one.json()).toStrictEqual({ items: [ACTOR] });
    expect(app.inspector.asked).toEqual([
      { sort: 'rate', limit: 20 },
      { sort: 'oldest', limit: 1 },
    ]);
  });

  test('shows what is not known yet as null', async () => {
    const app = new TestApp();
    const stock = { available: 0, held: null, sold: null };
    const unknown = { name: null, status: null, stock, lapsing: null, soldOutAt: NOW };
    app.inspector.actorRows.push(makeActor(productId(1), unknown));
    expect((await app.get('/admin/actors', app.admin)).json()).toStrictEqual({
      items: [
        {
          ...ACTOR,
          name: null,
          status: null,
          stock,
          lapsing: null,
          sold_out_at: '2030-01-02T03:04:05.678Z',
        },
      ],
    });
  });

  test.each(['sort=name', 'limit=0', 'limit=101', 'limit=x'])('refuses %s', async (query) => {
    const app = new TestApp();
    const response = await app.get(`/admin/actors?${query}`, app.admin);
    expect(expectInvalid(response)).toEqual([`query.${query.split('=')[0]}`]);
  });
});

describe('GET /admin/actors/{product_id}', () => {
  const url = `/admin/actors/${productId(1)}`;

  test('shows the actor', async () => {
    const app = new TestApp();
    app.inspector.actorRows.push(makeActor(productId(1)));
    expect((await app.get(url, app.admin)).json()).toStrictEqual(ACTOR);
  });

  test('of a product that is not in memory shows what the catalogue has, and else null', async () => {
    const app = new TestApp();
    app.catalogue.rows.push(makeProduct(1, { status: 'draft', available: 42 }));
    expect((await app.get(url, app.admin)).json()).toStrictEqual({
      product_id: productId(1),
      name: 'Product 1',
      status: 'draft',
      shard: null,
      partition: partitionOf(productId(1)),
      owner_id: null,
      mailbox: { depth: null, bound: null, oldest_ms: null },
      decided: null,
      committing: null,
      stock: { available: 42, held: null, sold: null },
      lapsing: null,
      orders_per_second: { s1: null, s10: null, s60: null },
      refused: {},
      sequence: null,
      sold_out_at: null,
    });
  });

  test('of a product that is being loaded shows its mailbox', async () => {
    const app = new TestApp();
    app.catalogue.rows.push(makeProduct(1, { available: 42 }));
    const loading = { name: null, status: null };
    app.inspector.actorRows.push(makeActor(productId(1), loading));
    expect((await app.get(url, app.admin)).json()).toStrictEqual({
      ...ACTOR,
      stock: { available: 42, held: null, sold: null },
    });
  });

  test('is 404 of what is no product, also when orders for it came', async () => {
    const app = new TestApp();
    expectProblem(await app.get(url, app.admin), 'product-not-found');
    app.inspector.actorRows.push(makeActor(productId(1), { name: null, status: null }));
    expectProblem(await app.get(url, app.admin), 'product-not-found');
    expect(expectInvalid(await app.get('/admin/actors/x', app.admin))).toEqual([
      'params.product_id',
    ]);
  });
});

test('GET /admin/shards shows each shard, and what its thread said if it answered', async () => {
  const app = new TestApp();
  app.inspector.shardRows[1] = makeShard(1, { state: 'silent', batches: null, inside: null });
  expect((await app.get('/admin/shards', app.admin)).json()).toStrictEqual({
    items: [
      {
        shard: 0,
        partitions: 128,
        state: 'serving',
        owner_id: 7,
        restarts: 0,
        batches: {
          per_second: 12.5,
          orders: { p50: 20, p99: 80 },
          commit_ms: { p50: 1.5, p99: 4 },
        },
        inside: {
          proven: true,
          actors: 30,
          mailbox: { depth: 3, bound: 10_000, oldest_ms: null },
          decided: 2,
          in_flight: 1,
          attempts: 0,
          holds: 0,
          unpaid: 5,
          window: 400,
          totals: {
            orders: 400,
            units: 500,
            replayed: 3,
            refused: { 'out-of-stock': 8 },
            shed: { overloaded: 1 },
            lapsed: 2,
          },
          event_loop: { delay_ms: { p50: 0.1, p99: 2.5 }, utilization: 0.4 },
          heap_bytes: 50_000_000,
        },
      },
      {
        shard: 1,
        partitions: 128,
        state: 'silent',
        owner_id: 8,
        restarts: 0,
        batches: null,
        inside: null,
      },
    ],
  });
});

test('GET /admin/batches shows the newest, and of a failed one why', async () => {
  const app = new TestApp();
  const traced = [
    { traceparent: 'secret', orderId: app.decisions.orderIdOf({ userId: CUSTOMER, key: 'k' }), receivedAt: 1, decidedAt: 1 }, // prettier-ignore
  ];
  const times = { copyMs: null, mergeMs: null, commitMs: null };
  const aborted = { outcome: 'aborted', cause: 'rejected', ...times } as const;
  app.inspector.batchRows.push(makeBatch(2, aborted), makeBatch(1, { traced }), makeBatch(0));
  const response = await app.get('/admin/batches?limit=2', app.admin);
  expect(response.json()).toStrictEqual({
    items: [
      {
        owner_id: 7,
        no: 2,
        shard: 0,
        sent_at: '2030-01-02T03:04:05.680Z',
        orders: 20,
        changes: 1,
        wait_ms: 0.5,
        copy_ms: null,
        merge_ms: null,
        commit_ms: null,
        total_ms: 2.2,
        outcome: 'aborted',
        cause: 'rejected',
      },
      expect.objectContaining({ no: 1, copy_ms: 0.3, outcome: 'committed', cause: null }),
    ],
  });
  expect(response.body).not.toContain('traced');
});

test('GET /admin/actions shows what operators did, newest first, page by page', async () => {
  const app = new TestApp();
  const { operatorLog } = app;
  for (const kind of ['pause', 'resume'] as const) {
    await operatorLog.record({ kind, target: productId(1), reason: 'why', author: ADMIN }, null);
  }
  await operatorLog.settle(operatorLog.rows[0]?.id ?? '', 'done');
  const first = await app.get('/admin/actions?limit=1', app.admin);
  const { items, next_cursor } = first.json<{ items: object[]; next_cursor: string }>();
  expect(items).toMatchObject([{ kind: 'resume', outcome: null }]);
  const second = await app.get(`/admin/actions?cursor=${next_cursor}`, app.admin);
  expect(second.json()).toStrictEqual({
    items: [
      {
        id: operatorLog.rows[0]?.id,
        kind: 'pause',
        target: productId(1),
        reason: 'why',
        author: ADMIN,
        created_at: '1970-01-01T00:00:00.001Z',
        outcome: 'done',
      },
    ],
    next_cursor: null,
  });
  expect(expectInvalid(await app.get('/admin/actions?cursor=x', app.admin))).toEqual([
    'query.cursor',
  ]);
});
