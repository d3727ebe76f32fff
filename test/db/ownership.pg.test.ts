import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeBatch } from '../../src/db/batch-writer.ts';
import { withClient } from '../../src/db/client.ts';
import { findFence, releaseOwners, replaceOwner, takeOver } from '../../src/db/ownership.ts';
import type { OwnerId } from '../../src/domain/ids.ts';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { expectCleanAudit, makeProducts, productIds } from '../support/shop.ts';
import { until } from '../support/until.ts';
import {
  BatchBuilder,
  claim,
  countRows,
  openPlain,
  openSession,
  waitingForLock,
} from './batch-builder.ts';

const ROUNDS = 10;
const SHARDS = 3;
const [productId = ''] = productIds(1);

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
  await makeProducts(database, { ids: [productId], stock: 1000 });
});

afterAll(async () => {
  await expectCleanAudit(database);
  await database.close();
});

/** Owners of partitions, and how many each has. */
async function holdings(): Promise<ReadonlyMap<number, number>> {
  const rows = await database.query<{ owner_id: number; n: number }>(
    'SELECT owner_id, count(*)::integer AS n FROM partitions GROUP BY owner_id ORDER BY owner_id',
  );
  return new Map(rows.map(({ owner_id, n }) => [owner_id, n]));
}

async function unfenced(): Promise<number[]> {
  const rows = await database.query<{ id: number }>(
    'SELECT id FROM owners WHERE fenced_at IS NULL ORDER BY id',
  );
  return rows.map(({ id }) => id);
}

function fenceOf(owner: OwnerId): Promise<string | null> {
  const connection = { databaseUrl: database.url, applicationName: 'fence' };
  return withClient(connection, (client) => findFence(client, owner));
}

function release(node: string, owners: readonly OwnerId[]): Promise<void> {
  const connection = { databaseUrl: database.url, applicationName: 'release' };
  return withClient(connection, (client) => releaseOwners(client, { node, owners }));
}

function replace(node: string, shard: number, former: OwnerId): ReturnType<typeof replaceOwner> {
  const connection = { databaseUrl: database.url, applicationName: `replace-${shard}` };
  return withClient(connection, (client) => replaceOwner(client, { node, shard, former }));
}

/** Which owner each partition has. */
async function partitionOwners(): Promise<number[]> {
  const rows = await database.query<{ owner_id: number }>(
    'SELECT owner_id FROM partitions ORDER BY id',
  );
  return rows.map(({ owner_id }) => owner_id);
}

describe('a takeover (I5)', () => {
  it('gives every partition to the shard of its number', async () => {
    const { owners } = await claim(database, 'dealer', SHARDS);
    const rows = await database.query<{ id: number; owner_id: number }>(
      'SELECT id, owner_id FROM partitions ORDER BY id',
    );
    expect(rows).toEqual(
      Array.from({ length: 256 }, (_, id) => ({ id, owner_id: owners[id % SHARDS] })),
    );
    expect(await unfenced()).toEqual(owners);
  });

  it(`leaves one set of unfenced owners when three come at once (${ROUNDS} rounds)`, async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const nodes = ['a', 'b', 'c'].map((name) => `${name}-${round}`);
      const takeovers = await Promise.all(nodes.map((node) => claim(database, node, SHARDS)));
      const live = await unfenced();
      const held = await holdings();
      expect([...held.keys()]).toEqual(live);
      expect([...held.values()].reduce((sum, n) => sum + n, 0)).toBe(256);
      const winners = takeovers.filter(({ owners }) => owners.join() === live.join());
      expect(winners).toHaveLength(1);
      // Each of them fenced one former set, and nobody the same one twice.
      const fenced = takeovers.flatMap(({ fencedNodes }) => fencedNodes);
      expect(new Set(fenced).size).toBe(3);
      const fences = await Promise.all(
        takeovers.map(({ owners: [owner] }) => fenceOf(owner ?? (0 as OwnerId))),
      );
      expect(fences.filter((by) => by === null)).toHaveLength(1);
      for (const by of fences) if (by !== null) expect(nodes).toContain(by);
    }
  });

  it('says by whom an owner was fenced, and null for one that is not', async () => {
    const { owners: [former = 0 as OwnerId] } = await claim(database, 'former'); // prettier-ignore
    expect(await fenceOf(former)).toBeNull();
    const { fencedNodes } = await claim(database, 'newer');
    expect(fencedNodes).toEqual(['former']);
    expect(await fenceOf(former)).toBe('newer');
    await claim(database, 'newest');
    // The first fence stands.
    expect(await fenceOf(former)).toBe('newer');
  });
});

describe('the longest hold TTL', () => {
  it('that any takeover ever named is remembered, since its orders may still be there', async () => {
    const connection = { databaseUrl: database.url, applicationName: 'ttl' };
    for (const holdTtlMs of [3_600_000_000, 1000]) {
      await withClient(connection, (client) => takeOver(client, { node: 'ttl', shards: 1, holdTtlMs })); // prettier-ignore
    }
    const rows = await database.query<{ ms: number }>(
      'SELECT (extract(epoch FROM hold_ttl_max) * 1000)::float8 AS ms FROM engine_settings',
    );
    expect(rows).toEqual([{ ms: 3_600_000_000 }]);
  });
});

describe('a replacement of one owner (I5)', () => {
  it('has exactly its partitions, and the other owners do not notice', async () => {
    const { owners } = await claim(database, 'shop', SHARDS);
    const [, former = 0 as OwnerId, other = 0 as OwnerId] = owners;
    const before = await partitionOwners();
    const session = await openSession(database, 'other');
    const builder = new BatchBuilder(other, new Map([[productId, 100]]));

    const replaced = await replace('shop', 1, former);
    const owner = 'owner' in replaced ? replaced.owner : (0 as OwnerId);
    expect(owner).toBeGreaterThan(Math.max(...owners));
    expect(await partitionOwners()).toEqual(before.map((id) => (id === former ? owner : id)));
    expect(await unfenced()).toEqual([owners[0], other, owner]);
    expect(await fenceOf(former)).toBe('shop');
    const rows = await database.query('SELECT node, shard FROM owners WHERE id = $1', [owner]);
    expect(rows).toEqual([{ node: 'shop', shard: 1 }]);
    await writeBatch(session, builder.batch({}));
    await session.end();
  });

  it('is refused once another node has fenced the owner, and says which', async () => {
    const { owners: [former = 0 as OwnerId] } = await claim(database, 'older', SHARDS); // prettier-ignore
    const { owners } = await claim(database, 'newer', SHARDS);
    const before = await partitionOwners();
    expect(await replace('older', 0, former)).toEqual({ fencedBy: 'newer' });
    expect(await unfenced()).toEqual(owners);
    expect(await partitionOwners()).toEqual(before);
  });

  it('is refused after the node has released its owners, and of an owner that is not its', async () => {
    const { owners } = await claim(database, 'leaver');
    const [former = 0 as OwnerId] = owners;
    await expect(replace('stranger', 0, former)).rejects.toThrow('of node stranger');
    await expect(replace('leaver', 1, former)).rejects.toThrow('is not of shard 1');
    expect(await unfenced()).toEqual(owners);
    await release('leaver', owners);
    expect(await replace('leaver', 0, former)).toEqual({ fencedBy: 'leaver' });
    expect(await unfenced()).toEqual([]);
  });

  it('that is repeated because its answer was lost leaves one owner, and never the same', async () => {
    const { owners: [former = 0 as OwnerId] } = await claim(database, 'deaf'); // prettier-ignore
    const unheard = await replace('deaf', 0, former);
    const heard = await replace('deaf', 0, former);
    const owner = 'owner' in heard ? heard.owner : (0 as OwnerId);
    expect(unheard).not.toEqual(heard);
    expect(await unfenced()).toEqual([owner]);
    expect([...(await holdings())]).toEqual([[owner, 256]]);
    await claim(database, 'newest');
    expect(await replace('deaf', 0, former)).toEqual({ fencedBy: 'newest' });
  });

  it('waits a little for the last batch of the dead thread, then ends it', async () => {
    const { owners: [former = 0 as OwnerId] } = await claim(database, 'dead'); // prettier-ignore
    const session = await openSession(database, 'dead');
    const builder = new BatchBuilder(former, new Map([[productId, 200]]));
    const holder = await openPlain(database);
    await holder.query('BEGIN');
    await holder.query('SELECT FROM products WHERE id = $1 FOR UPDATE', [productId]);
    const before = await countRows(database);
    const end = writeBatch(session, builder.batch({ orders: [builder.order({ lines: [[productId, 1]] })] })); // prettier-ignore
    end.catch(() => undefined);
    await until('the batch waits', async () => (await waitingForLock(database, 'dead')) === 1);
    const started = performance.now();
    expect(await replace('dead', 0, former)).toHaveProperty('owner');
    expect(performance.now() - started).toBeLessThan(1000);
    await expect(end).rejects.toMatchObject({ code: '57P01' });
    await holder.query('ROLLBACK');
    expect(await countRows(database)).toEqual(before);
    await Promise.all([session, holder].map((client) => client.end()));
  });

  it(`and a takeover at once leave one set of unfenced owners (${ROUNDS} rounds)`, async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const { owners } = await claim(database, `first-${round}`, SHARDS);
      const [a = 0 as OwnerId, b = 0 as OwnerId] = owners;
      const [replacedA, replacedB, { owners: taken }] = await Promise.all([
        replace(`first-${round}`, 0, a),
        replace(`first-${round}`, 1, b),
        claim(database, `second-${round}`, SHARDS),
      ]);
      expect(await unfenced()).toEqual(taken);
      expect([...(await holdings()).keys()]).toEqual(taken);
      for (const replaced of [replacedA, replacedB]) {
        // Before the takeover it was fenced in its turn; after it, it was refused.
        const by = 'fencedBy' in replaced ? replaced.fencedBy : await fenceOf(replaced.owner);
        expect(by).toBe(`second-${round}`);
      }
    }
  });
});

describe('a former transaction that does not end', () => {
  let blocker: pg.Client;
  let blocked: pg.Client;

  it('is terminated when the patience of the takeover is over, and leaves nothing', async () => {
    const { owners: [owner = 0 as OwnerId] } = await claim(database, 'stuck'); // prettier-ignore
    const builder = new BatchBuilder(owner);
    blocker = await openPlain(database);
    blocked = await openSession(database, 'stuck');
    const bystander = await openSession(database, 'bystander');
    const before = await countRows(database);
    await blocker.query('BEGIN');
    await blocker.query('SELECT FROM products WHERE id = $1 FOR UPDATE', [productId]);
    const order = builder.order({ lines: [[productId, 1]] });
    const end = writeBatch(blocked, builder.batch({ orders: [order] }));
    end.catch(() => undefined);
    await until('the batch waits', async () => (await waitingForLock(database, 'stuck')) === 1);

    const started = performance.now();
    const { owners, fencedNodes } = await claim(database, 'impatient');
    expect(performance.now() - started).toBeLessThan(4000);
    await expect(end).rejects.toMatchObject({ code: '57P01' });
    expect(fencedNodes).toEqual(['stuck']);
    expect(await unfenced()).toEqual(owners);
    await blocker.query('ROLLBACK');
    expect(await countRows(database)).toEqual(before);
    // Only who held the owner's lock was terminated.
    expect((await bystander.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    await Promise.all([blocker, blocked, bystander].map((client) => client.end()));
  });
});

describe('a release', () => {
  it('lets the next start without having fenced anybody, so it need not wait', async () => {
    const { owners } = await claim(database, 'tidy', SHARDS);
    await release('tidy', owners);
    expect(await unfenced()).toEqual([]);
    expect(await fenceOf(owners[0] ?? (0 as OwnerId))).toBe('tidy');
    const nobody = await database.query('SELECT FROM partitions WHERE owner_id IS NOT NULL');
    expect(nobody).toEqual([]);
    const next = await claim(database, 'next', SHARDS);
    expect(next.fencedNodes).toEqual([]);
    expect(await unfenced()).toEqual(next.owners);
  });

  it('that comes after somebody else took over takes nothing from them', async () => {
    const late = await claim(database, 'late');
    const holder = await claim(database, 'holder');
    await release('late', late.owners);
    expect(await unfenced()).toEqual(holder.owners);
    expect([...(await holdings())]).toEqual([[holder.owners[0], 256]]);
    expect(await fenceOf(late.owners[0] ?? (0 as OwnerId))).toBe('holder');
  });

  it('waits for the last transaction of its owners, which commits', async () => {
    const { owners } = await claim(database, 'busy');
    const [owner = 0 as OwnerId] = owners;
    const builder = new BatchBuilder(owner, new Map([[productId, 500]]));
    const session = await openSession(database, 'busy');
    const holder = await openPlain(database);
    await holder.query('BEGIN');
    await holder.query('SELECT FROM products WHERE id = $1 FOR UPDATE', [productId]);
    const order = builder.order({ lines: [[productId, 1]] });
    const ends: string[] = [];
    const committed = writeBatch(session, builder.batch({ orders: [order] })).then(() =>
      ends.push('committed'),
    );
    await until('the batch waits', async () => (await waitingForLock(database, 'busy')) === 1);
    const released = release('busy', owners).then(() => ends.push('released'));
    const releaseWaits = async () => (await waitingForLock(database, 'release')) === 1;
    await until('the release finds the owner busy', releaseWaits);
    await holder.query('COMMIT');
    await Promise.all([committed, released]);
    expect(ends).toEqual(['committed', 'released']);
    await Promise.all([session, holder].map((client) => client.end()));
  });
});
