import { describe, expect, it } from 'vitest';
import { effectId } from '../../src/db/effect-id.ts';
import {
  accepted,
  answer,
  cancel,
  change,
  commandsAtEndOfTurn,
  customer,
  odd,
  openRouter,
  order,
  replaceShard,
} from './router-harness.ts';

describe('a shard whose thread died', () => {
  it('is shed as overloaded until another owner serves; the other shards go on', async () => {
    const router = openRouter();
    router.disconnect(0);
    expect(await router.placeOrder(order())).toEqual({ type: 'shed', code: 'overloaded' });
    expect(router.impediment).toMatch('shard 0');
    void router.placeOrder(order({ lines: [{ productId: odd, quantity: 1 }] }));
    expect(await commandsAtEndOfTurn(1)).toHaveLength(1);
  });

  it('has its waiting requests sent to the next owner, as keyed ones (I3)', async () => {
    const router = openRouter();
    const outcomes = [router.placeOrder(order()), router.placeOrder(order())];
    const [posted] = await commandsAtEndOfTurn(0);
    replaceShard(router);
    const moved = await commandsAtEndOfTurn(0);
    expect(moved.map(({ keyed }) => keyed)).toEqual([true, true]);
    expect(moved[0]?.id).toBe(posted?.id);
    answer(0, [
      accepted(moved[0]?.n ?? 0),
      { n: moved[1]?.n ?? 0, type: 'shed', code: 'overloaded' },
    ]);
    // The dead owner may have committed what the next one sheds (I8).
    expect(await Promise.all(outcomes)).toMatchObject([
      { type: 'accepted' },
      { type: 'unknown', orderId: moved[1]?.id },
    ]);
    expect(router.impediment).toBeNull();
  });

  it('leaves a stock change without a key unknown, and settles what was answered unknown', async () => {
    const router = openRouter({ requestTimeoutMs: 80 });
    const change0 = router.changeStock(change());
    const id = effectId(customer, 'k');
    await router.placeOrder(order({ idempotencyKey: 'k' }));
    expect(router.unsettledCustomer(id)).toBe(customer);
    const late = router.changeStock(change());
    replaceShard(router);
    expect(await Promise.all([change0, late])).toEqual([
      { type: 'unknown', orderId: null },
      { type: 'unknown', orderId: null },
    ]);
    expect(router.unsettledCustomer(id)).toBeUndefined();
    expect(await commandsAtEndOfTurn(0)).toEqual([]);
  });

  it('has no say any more: an answer of the dead owner is dropped (I5)', async () => {
    const router = openRouter();
    const outcome = router.placeOrder(order());
    const [command] = await commandsAtEndOfTurn(0);
    answer(0, [accepted(command?.n ?? 0, [1])]);
    replaceShard(router);
    const [again] = await commandsAtEndOfTurn(0);
    answer(0, [accepted(again?.n ?? 0, [2])]);
    expect(await outcome).toMatchObject({ order: { total: 2 } });
  });
});

describe('a shard that is restarted', () => {
  it('never tells a customer that the service is shutting down, unless it is (I8)', async () => {
    const router = openRouter();
    const outcomes = [router.placeOrder(order()), router.placeOrder(order())];
    const [first, second] = (await commandsAtEndOfTurn(0)).map(({ n }) => n);
    answer(0, [{ n: first ?? 0, type: 'shed', code: 'shutting-down' }]);
    expect(await outcomes[0]).toEqual({ type: 'shed', code: 'overloaded' });
    router.close('shutting-down');
    answer(0, [{ n: second ?? 0, type: 'shed', code: 'shutting-down' }]);
    expect(await outcomes[1]).toEqual({ type: 'shed', code: 'shutting-down' });
  });
});

describe('status changes', () => {
  it('are a success when the order has the status already, whoever changed it', async () => {
    const router = openRouter();
    const outcomes = [1, 2, 3].map(() => router.changeStatus(cancel()));
    const [a, b, c] = (await commandsAtEndOfTurn(0)).map(({ n }) => n);
    answer(0, [
      { n: a ?? 0, type: 'status-changed', replayed: false },
      { n: b ?? 0, type: 'status-kept', status: 'CANCELLED' },
      { n: c ?? 0, type: 'status-kept', status: 'EXPIRED' },
    ]);
    expect(await Promise.all(outcomes)).toEqual([
      { type: 'changed', replayed: false },
      { type: 'changed', replayed: false },
      { type: 'not-changeable', status: 'EXPIRED' },
    ]);
  });
});
