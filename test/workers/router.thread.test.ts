import { randomUUID } from 'node:crypto';
import { setImmediate as endOfTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { CartId } from '../../src/domain/ids.ts';
import type { Answer } from '../../src/domain/wire.ts';
import { effectId } from '../../src/db/effect-id.ts';
import { Router } from '../../src/workers/router.ts';
import {
  accepted,
  answer,
  cancel,
  change,
  commandsAtEndOfTurn,
  customer,
  even,
  even2,
  groups,
  odd,
  openRouter,
  order,
  PATIENT,
} from './router-harness.ts';

describe('posting commands', () => {
  it('posts full groups of 16 at once and the rest at the end of the turn', async () => {
    const router = openRouter();
    const outcomes = Array.from({ length: 15 }, () => router.placeOrder(order()));
    expect(groups(0)).toEqual([]);
    for (let i = 0; i < 22; i += 1) outcomes.push(router.placeOrder(order()));
    const full = groups(0);
    expect(full.map(({ length }) => length)).toEqual([16, 16]);
    await endOfTurn();
    const rest = groups(0);
    expect(rest.map(({ length }) => length)).toEqual([5]);
    const numbers = [...full, ...rest].flat().map(({ n }) => n);
    expect(new Set(numbers).size).toBe(37);
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
    answer(0, numbers.map((n) => accepted(n))); // prettier-ignore
    const types = (await Promise.all(outcomes)).map(({ type }) => type);
    expect(types).toEqual(outcomes.map(() => 'accepted'));
    await endOfTurn();
    expect(groups(0)).toEqual([]);
  });

  it('sends each command to the owner of its products', async () => {
    const router = openRouter();
    void router.placeOrder(order({ lines: [{ productId: odd, quantity: 1 }] }));
    void router.changeStock(change());
    void router.changeStock(change({ productId: odd }));
    await endOfTurn();
    expect(groups(0).flat().map(({ kind }) => kind)).toEqual(['change-stock']); // prettier-ignore
    expect(groups(1).flat().map(({ kind }) => kind)).toEqual(['place', 'change-stock']); // prettier-ignore
  });

  it('sends the canonical request, the id of customer and key, and an id of its own without a key', async () => {
    const router = openRouter();
    const lines = [
      { productId: even2, quantity: 1 },
      { productId: even, quantity: 2 },
      { productId: even2, quantity: 3 },
    ];
    void router.placeOrder(order({ lines, idempotencyKey: 'k', metadata: { b: '2', a: '1' } }));
    void router.changeStock(change({ idempotencyKey: 'k' }));
    void router.placeOrder(order());
    void router.placeOrder(order());
    const [keyed, keyedChange, ...fresh] = await commandsAtEndOfTurn(0);
    expect(keyed).toMatchObject({
      id: effectId(customer, 'k'),
      keyed: true,
      metadata: '{"a":"1","b":"2"}',
      lines: [
        { productId: even, quantity: 2 },
        { productId: even2, quantity: 4 },
      ],
    });
    // One key is one effect, whatever kind of command it comes with (I3).
    expect(keyedChange).toMatchObject({ id: effectId(customer, 'k'), keyed: true });
    expect(keyedChange?.requestHash).not.toBe(keyed?.requestHash);
    expect(fresh.map((command) => command.keyed)).toEqual([false, false]);
    expect(new Set(fresh.map(({ id }) => id)).size).toBe(2);
  });

  it('sends an order of several shards to the owner of its lowest partition (I4)', async () => {
    const router = openRouter();
    const lines = [even, odd].map((id) => ({ productId: id, quantity: 1 }));
    void router.placeOrder(order({ lines }));
    void router.placeOrder(order({ lines: lines.slice(0, 1) }));
    await endOfTurn();
    const [home, alone] = [groups(1).flat(), groups(0).flat()];
    expect(home).toMatchObject([{ kind: 'place', otherShards: [0] }]);
    expect(alone).toMatchObject([{ kind: 'place', otherShards: null }]);
  });

  it('sends a status change to the home shard of its order, with all partitions', async () => {
    const router = openRouter();
    void router.changeStatus(cancel({ productIds: [even, odd] }));
    await endOfTurn();
    expect(groups(1).flat()).toMatchObject([{ kind: 'change-status', partitions: [2, 1] }]);
  });
});

describe('answers', () => {
  const unsent = { shippedAt: null, tracking: null };

  it('become an order with prices and total of the answer and the rest of the request, also on replay', async () => {
    const router = openRouter();
    const request = order({
      idempotencyKey: 'k',
      lines: [
        { productId: even2, quantity: 3 },
        { productId: even, quantity: 2 },
      ],
      reference: 'gift',
      metadata: { colour: 'red' },
    });
    const outcomes = [router.placeOrder(request), router.placeOrder(request)];
    const [first, repeat] = await commandsAtEndOfTurn(0);
    const answered = accepted(first?.n ?? 0, [100, 7]);
    answer(0, [answered, { ...answered, n: repeat?.n ?? 0, replayed: true } as Answer]);
    const [one, two] = await Promise.all(outcomes);
    expect(one).toEqual({
      type: 'accepted',
      replayed: false,
      order: {
        id: effectId(customer, 'k'),
        userId: customer,
        status: 'WAITING_PAYMENT',
        items: [
          {
            productId: even,
            quantity: 2,
            name: 'Product 0',
            unitPrice: 100,
            sequence: 1,
            ...unsent,
          },
          {
            productId: even2,
            quantity: 3,
            name: 'Product 1',
            unitPrice: 7,
            sequence: 2,
            ...unsent,
          },
        ],
        currency: 'USD',
        total: 221,
        reference: 'gift',
        metadata: { colour: 'red' },
        createdAt: 1,
        expiresAt: 2,
        payments: [],
      },
    });
    expect(two).toEqual({ ...one, replayed: true });
  });

  it('of every kind reach the request they are for, in whatever order they come', async () => {
    const router = openRouter();
    const orders = Array.from({ length: 4 }, () => router.placeOrder(order()));
    const changes = Array.from({ length: 4 }, () => router.changeStock(change()));
    const commands = await commandsAtEndOfTurn(0);
    const n = (i: number) => commands[i]?.n ?? 0;
    const items = [{ productId: even, requested: 1, available: 0 }];
    const refusal = { type: 'refused', code: 'out-of-stock', items } as const;
    const notFound = { type: 'refused', code: 'product-not-found', items: [] } as const;
    answer(0, [
      { n: n(7), type: 'shed', code: 'overloaded' },
      { n: n(6), type: 'refused', refusal: notFound },
      { n: n(5), type: 'insufficient-stock', available: 3 },
      { n: n(4), type: 'changed', replayed: true, available: 9 },
      { n: n(3), type: 'shed', code: 'database-unavailable' },
      { n: n(2), type: 'key-reused' },
    ]);
    answer(0, [{ n: n(1), type: 'refused', refusal }, accepted(n(0))]);
    expect(await Promise.all(orders)).toMatchObject([
      { type: 'accepted' },
      refusal,
      { type: 'key-reused' },
      { type: 'shed', code: 'database-unavailable' },
    ]);
    expect(await Promise.all(changes)).toEqual([
      { type: 'changed', replayed: true, available: 9 },
      { type: 'refused', code: 'insufficient-stock', available: 3 },
      { type: 'refused', code: 'product-not-found' },
      { type: 'shed', code: 'overloaded' },
    ]);
    expect(router.waiting).toBe(0);
  });

  it('resolve a request once: a second answer is dropped (I8)', async () => {
    const router = openRouter();
    const outcomes = [router.placeOrder(order()), router.placeOrder(order())];
    const [first, second] = (await commandsAtEndOfTurn(0)).map(({ n }) => n);
    answer(0, [
      accepted(first ?? 0, [5]),
      { n: first ?? 0, type: 'key-reused' },
      accepted(second ?? 0, [6]),
    ]);
    expect(await Promise.all(outcomes)).toMatchObject([
      { type: 'accepted', order: { total: 5 } },
      { type: 'accepted', order: { total: 6 } },
    ]);
    expect(router.waiting).toBe(0);
  });
});

describe('no answer by the deadline (I8, I9)', () => {
  const requestTimeoutMs = 80;

  it('is an unknown outcome with the id of the order, and with none for a stock change', async () => {
    const router = openRouter({ requestTimeoutMs });
    const sentAt = Date.now();
    const outcomes = await Promise.all([
      router.placeOrder(order({ idempotencyKey: 'k' })),
      router.changeStock(change()),
    ]);
    expect(Date.now() - sentAt).toBeGreaterThanOrEqual(requestTimeoutMs);
    expect(outcomes).toEqual([
      { type: 'unknown', orderId: effectId(customer, 'k') },
      { type: 'unknown', orderId: null },
    ]);
    expect(router.waiting).toBe(0);
  });

  it('drops the late answer: it reaches neither that request nor another', async () => {
    const router = openRouter({ requestTimeoutMs });
    const late = router.placeOrder(order());
    const [overdue] = await commandsAtEndOfTurn(0);
    expect(await late).toEqual({ type: 'unknown', orderId: overdue?.id });
    const next = router.placeOrder(order());
    const [command] = await commandsAtEndOfTurn(0);
    answer(0, [accepted(overdue?.n ?? 0, [1])]);
    answer(0, [accepted(command?.n ?? 0, [2])]);
    expect(await next).toMatchObject({ type: 'accepted', order: { total: 2, id: command?.id } });
    expect(await late).toEqual({ type: 'unknown', orderId: overdue?.id });
  });

  it('keeps the order unsettled until every late request for it has its answer', async () => {
    const router = openRouter({ requestTimeoutMs });
    const id = effectId(customer, 'k');
    const both = [1, 2].map(() => router.placeOrder(order({ idempotencyKey: 'k' })));
    const commands = await commandsAtEndOfTurn(0);
    expect(router.unsettledCustomer(id)).toBeUndefined();
    await Promise.all(both);
    expect(router.unsettledCustomer(id)).toBe(customer);
    const [first, second] = commands.map(({ n }) => n);
    answer(0, [{ n: second ?? 0, type: 'shed', code: 'overloaded' }]);
    await endOfTurn();
    expect(router.unsettledCustomer(id)).toBe(customer);
    answer(0, [accepted(first ?? 0)]);
    while (router.unsettledCustomer(id) !== undefined) await endOfTurn();
  });

  it('keeps the key of a checkout unsettled with its order', async () => {
    const router = openRouter({ requestTimeoutMs });
    const id = effectId(customer, 'k');
    const cart = { id: randomUUID() as CartId, version: 1 };
    const late = router.placeOrder(order({ idempotencyKey: 'k', cart }));
    const [command] = await commandsAtEndOfTurn(0);
    expect(await late).toMatchObject({ type: 'unknown' });
    expect(command?.id).not.toBe(id);
    expect(router.unsettledCustomer(id)).toBe(customer);
    answer(0, [accepted(command?.n ?? 0)]);
    while (router.unsettledCustomer(id) !== undefined) await endOfTurn();
  });

  it('comes also to a request that waits when the router closes', async () => {
    const router = openRouter({ requestTimeoutMs });
    const waiting = router.placeOrder(order({ idempotencyKey: 'k' }));
    router.close('shutting-down');
    expect(await waiting).toEqual({ type: 'unknown', orderId: effectId(customer, 'k') });
  });

  it('does not touch a request that is not overdue yet', async () => {
    const router = openRouter({ requestTimeoutMs });
    const first = router.placeOrder(order());
    const [overdue] = await commandsAtEndOfTurn(0);
    const halfway = (overdue?.receivedAt ?? 0) + requestTimeoutMs / 2;
    while (Date.now() < halfway) await endOfTurn();
    const second = router.placeOrder(order());
    const [command] = await commandsAtEndOfTurn(0);
    expect(await first).toMatchObject({ type: 'unknown' });
    expect(router.waiting).toBe(1);
    answer(0, [accepted(command?.n ?? 0)]);
    expect(await second).toMatchObject({ type: 'accepted' });
  });
});

describe('shedding', () => {
  it('answers database-unavailable until the shards are ready', async () => {
    const router = new Router(PATIENT);
    expect(await router.placeOrder(order())).toEqual({
      type: 'shed',
      code: 'database-unavailable',
    });
    expect(await router.changeStock(change())).toMatchObject({ code: 'database-unavailable' });
  });

  it('answers overloaded beyond the bound of waiting requests, and nothing more is sent (I9)', async () => {
    const router = openRouter({ waitingMax: 3 });
    const inside = [
      router.placeOrder(order()),
      router.changeStock(change()),
      router.placeOrder(order({ lines: [{ productId: odd, quantity: 1 }] })),
    ];
    expect(await router.placeOrder(order())).toEqual({ type: 'shed', code: 'overloaded' });
    expect(await router.changeStock(change())).toEqual({ type: 'shed', code: 'overloaded' });
    expect(router.waiting).toBe(3);
    const commands = await commandsAtEndOfTurn(0);
    const [other] = groups(1).flat();
    expect(commands).toHaveLength(2);
    const [first, second] = commands.map(({ n }) => n);
    answer(0, [accepted(first ?? 0)]);
    expect(await inside[0]).toMatchObject({ type: 'accepted' });
    // A place is free again.
    const next = router.placeOrder(order());
    expect(router.waiting).toBe(3);
    const [admitted] = await commandsAtEndOfTurn(0);
    answer(0, [
      { n: second ?? 0, type: 'changed', replayed: false, available: 1 },
      accepted(admitted?.n ?? 0),
    ]);
    answer(1, [accepted(other?.n ?? 0)]);
    const types = (await Promise.all([...inside, next])).map(({ type }) => type);
    expect(types).toEqual(['accepted', 'changed', 'accepted', 'accepted']);
  });

  it('sheds new requests once closed, while those under way get their answers (I8)', async () => {
    const router = openRouter();
    const underWay = router.placeOrder(order());
    const [command] = await commandsAtEndOfTurn(0);
    router.close('shutting-down');
    expect(await router.placeOrder(order())).toEqual({ type: 'shed', code: 'shutting-down' });
    expect(await router.changeStock(change())).toEqual({ type: 'shed', code: 'shutting-down' });
    await endOfTurn();
    expect(groups(0)).toEqual([]);
    answer(0, [accepted(command?.n ?? 0)]);
    expect(await underWay).toMatchObject({ type: 'accepted' });
  });
});
