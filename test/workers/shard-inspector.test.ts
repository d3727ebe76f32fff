import { beforeEach, describe, expect, it } from 'vitest';
import { effectId } from '../../src/db/effect-id.ts';
import { partitionOf } from '../../src/domain/ids.ts';
import type { OwnerId, ProductId, UserId } from '../../src/domain/ids.ts';
import type { ActorPart, BatchRecord, Inspections, RefusalRecord, ShardPart } from '../../src/domain/inspection.ts'; // prettier-ignore
import { ShardInspector } from '../../src/workers/shard-inspector.ts';
import type { Shards } from '../../src/workers/shard-inspector.ts';
import type { SupervisedShard } from '../../src/workers/shard-pool.ts';
import type { Ask } from '../../src/workers/shard-task.ts';
import { productIds } from '../support/shop.ts';

const SHARDS = 2;
const ids = productIds(150) as ProductId[];
const [first = '' as ProductId, second = '' as ProductId] = ids;
const customer = '0b9e1f5c-6a52-4c7e-9d37-3f3a4d5b6c70' as UserId;

type Replies = { [A in Ask]: (query: Inspections[A]['query']) => Inspections[A]['reply'] };

function actor(productId: ProductId, depth = 0, available = 10): ActorPart {
  return {
    productId,
    name: 'Lamp',
    status: 'active',
    shard: partitionOf(productId) % SHARDS,
    partition: partitionOf(productId),
    ownerId: 1 as OwnerId,
    mailbox: { depth, bound: 100, oldestMs: depth === 0 ? null : depth },
    decided: 0,
    committing: 0,
    available,
    live: 7,
    ordersPerSecond: { s1: 0, s10: depth, s60: 0 },
    refused: {},
    sequence: 7,
    soldOutAt: null,
  };
}

const PART: ShardPart = {
  ownerId: 1 as OwnerId,
  proven: true,
  actors: 0,
  mailbox: { depth: 0, bound: 100, oldestMs: null },
  decided: 0,
  inFlight: 0,
  attempts: 0,
  holds: 0,
  unpaid: 0,
  window: 0,
  totals: { orders: 0, units: 0, replayed: 0, refused: {}, shed: {}, lapsed: 0 },
  eventLoop: { delayMs: { p50: 0, p99: 0 }, utilization: 0 },
  heapBytes: 1,
};

const BATCH: BatchRecord = {
  shard: 0,
  ownerId: 1 as OwnerId,
  no: 1,
  sentAt: 0,
  orders: 1,
  changes: 0,
  waitMs: 0,
  copyMs: 1,
  mergeMs: 1,
  commitMs: 1,
  totalMs: 3,
  outcome: 'committed',
  cause: null,
  traced: [],
};

/** Two shards that answer at once, unless they are silent. */
class FakeShards implements Shards {
  readonly asked: string[] = [];
  readonly silent = new Set<number>();
  shards: SupervisedShard[] = [1, 2].map((id) => ({
    ownerId: id as OwnerId,
    partitions: 128,
    serves: true,
    restarts: 0,
  }));
  readonly replies: Replies[] = [0, 1].map(() => ({
    shard: () => PART,
    actors: () => [],
    actor: () => null,
    held: () => new Map(),
    refusal: () => null,
  }));

  async ask<A extends Ask>(
    shard: number,
    ask: A,
    query: Inspections[A]['query'],
  ): Promise<Inspections[A]['reply'] | undefined> {
    this.asked.push(`${shard} ${ask}`);
    const reply: Replies[A] | undefined = this.replies[shard]?.[ask];
    return this.silent.has(shard) ? undefined : reply?.(query);
  }
}

let now: number;
let shards: FakeShards;
let inspector: ShardInspector;

beforeEach(() => {
  now = 1;
  shards = new FakeShards();
  inspector = inspectorOf(() => shards);
});

function inspectorOf(running: () => Shards | null): ShardInspector {
  return new ShardInspector({ count: SHARDS, running, now: () => now });
}

function reply(shard: number, replies: Partial<Replies>): void {
  Object.assign(shards.replies[shard] ?? {}, replies);
}

describe('the actors', () => {
  it('of all shards are sorted together and cut to the limit', async () => {
    reply(0, { actors: () => [actor(ids[2] ?? first, 9, 1), actor(first, 3, 5)] });
    reply(1, { actors: () => [actor(second, 5, 0)] });
    const depths = async (sort: 'depth' | 'oldest' | 'rate' | 'stock', limit: number) =>
      (await inspector.actors({ sort, limit })).map(({ mailbox }) => mailbox.depth);
    expect(await depths('depth', 2)).toEqual([9, 5]);
    expect(await depths('oldest', 3)).toEqual([9, 5, 3]);
    expect(await depths('rate', 3)).toEqual([9, 5, 3]);
    expect(await depths('stock', 3)).toEqual([5, 9, 3]);
  });

  it('have the units that orders of any shard hold of them', async () => {
    reply(0, {
      actors: () => [actor(first)],
      held: (products) => {
        expect(products).toEqual([first]);
        return new Map([[first, { units: 2, lapsing10s: 1, lapsing60s: 1 }]]);
      },
    });
    reply(1, { held: () => new Map([[first, { units: 3, lapsing10s: 0, lapsing60s: 1 }]]) });
    const [view] = await inspector.actors({ sort: 'depth', limit: 5 });
    expect(view).toMatchObject({
      stock: { available: 10, held: 5, sold: 2 },
      lapsing: { within10s: 1, within60s: 2 },
    });
    expect(view).not.toHaveProperty('live');
  });

  it('have no such figures while one shard is loading its orders or is silent', async () => {
    reply(0, { actors: () => [actor(first)], actor: () => actor(first), held: () => null });
    const unknown = { stock: { available: 10, held: null, sold: null }, lapsing: null };
    expect(await inspector.actor(first)).toMatchObject(unknown);
    shards.silent.add(1);
    expect(await inspector.actors({ sort: 'depth', limit: 5 })).toMatchObject([unknown]);
    // Who did not answer is not waited for once more.
    expect(shards.asked.filter((asked) => asked === '0 held')).toHaveLength(1);
  });

  it('are asked for once in half a second, however many look at however many (I9)', async () => {
    reply(0, { actors: ({ limit }) => ids.slice(0, limit).map((id) => actor(id)) });
    const looks = [1, 5, 1000].map((limit) => inspector.actors({ sort: 'rate', limit }));
    expect((await Promise.all(looks)).map(({ length }) => length)).toEqual([1, 5, 100]);
    now += 400;
    await inspector.actors({ sort: 'rate', limit: 2 });
    expect(shards.asked.filter((asked) => asked === '0 actors')).toHaveLength(1);
    now += 200;
    await inspector.actors({ sort: 'rate', limit: 2 });
    expect(shards.asked.filter((asked) => asked === '0 actors')).toHaveLength(2);
  });

  it('are found one by one where they live, or not at all', async () => {
    reply(1, { actor: (id) => (id === second ? actor(second, 4) : null) });
    expect(await inspector.actor(second)).toMatchObject({ productId: second, shard: 1 });
    expect(await inspector.actor(ids[3] ?? first)).toBeUndefined();
    expect(shards.asked).not.toContain('0 actor');
    shards.silent.add(0);
    expect(await inspector.actor(first)).toBeUndefined();
  });
});

describe('the shards', () => {
  it('are named as they are: serving, unproven, silent, or being replaced', async () => {
    reply(1, { shard: () => ({ ...PART, proven: false }) });
    const states = async () => {
      now += 501;
      return (await inspector.shards()).map(({ state, inside }) => [state, inside !== null]);
    };
    expect(await states()).toEqual([['serving', true], ['unproven', true]]); // prettier-ignore
    shards.silent.add(1);
    expect(await states()).toEqual([['serving', true], ['silent', false]]); // prettier-ignore
    shards.shards = shards.shards.map((shard) => ({ ...shard, serves: false }));
    shards.silent.add(0);
    expect(await states()).toEqual([['replacing', false], ['replacing', false]]); // prettier-ignore
  });

  it('are looked at anew when what was answered is to be forgotten', async () => {
    await inspector.shards();
    shards.shards = shards.shards.map((shard) => ({ ...shard, restarts: 1 }));
    expect((await inspector.shards()).map(({ restarts }) => restarts)).toEqual([0, 0]);
    inspector.forget();
    expect((await inspector.shards()).map(({ restarts }) => restarts)).toEqual([1, 1]);
  });

  it('that dies over the question is being replaced, by its next owner', async () => {
    reply(0, {
      shard: () => {
        const [dead, ...others] = shards.shards;
        if (dead !== undefined) shards.shards = [{ ...dead, ownerId: 9 as OwnerId, serves: false, restarts: 1 }, ...others]; // prettier-ignore
        shards.silent.add(0);
        return PART;
      },
    });
    await inspector.shards();
    now += 501;
    const [view] = await inspector.shards();
    expect(view).toMatchObject({ state: 'replacing', ownerId: 9, restarts: 1, inside: null });
  });

  it('are none before they start, which is forgotten at once', async () => {
    let started: Shards | null = null;
    const early = inspectorOf(() => started);
    expect(await early.shards()).toEqual([]);
    expect(await early.actors({ sort: 'depth', limit: 1 })).toEqual([]);
    expect(await early.actor(first)).toBeUndefined();
    expect(await early.refusal({ userId: customer, key: 'k' })).toBeUndefined();
    expect(early.batches(5)).toEqual([]);
    started = shards;
    expect(await early.shards()).toHaveLength(SHARDS);
  });
});

describe('the batches', () => {
  it('of all shards are listed together, newest first', () => {
    for (const [shard, no] of [[0, 1], [1, 1], [0, 2], [1, 2], [1, 3]] as const) {
      now += 1;
      inspector.add({ ...BATCH, shard, no });
    } // prettier-ignore
    const names = inspector.batches(4).map(({ shard, no }) => `${shard}/${no}`);
    expect(names).toEqual(['1/3', '1/2', '0/2', '1/1']);
  });
});

describe('a refusal', () => {
  it('is the latest that any shard remembers of the key', async () => {
    const id = effectId(customer, 'k');
    const record = (decidedAt: number): RefusalRecord => ({ id, code: 'out-of-stock', decidedAt, items: [] }); // prettier-ignore
    expect(await inspector.refusal({ userId: customer, key: 'k' })).toBeUndefined();
    for (const n of [0, 1]) reply(n, { refusal: (asked) => (asked === id ? record(n) : null) });
    expect(await inspector.refusal({ userId: customer, key: 'k' })).toEqual(record(1));
    expect(await inspector.refusal({ userId: customer, key: 'other' })).toBeUndefined();
    shards.silent.add(1);
    expect(await inspector.refusal({ userId: customer, key: 'k' })).toEqual(record(0));
  });
});
