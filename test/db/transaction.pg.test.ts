/** Commands that no batch carries: once per customer and key, against each other and all others. */
import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { NOTHING_TO_REPORT, writeBatch } from '../../src/db/batch-writer.ts';
import { effectId, requestHashOf } from '../../src/db/effect-id.ts';
import { createPool } from '../../src/db/pool.ts';
import { inTransaction, onceUnderKey } from '../../src/db/transaction.ts';
import type { Attempt, OnceOutcome } from '../../src/db/transaction.ts';
import type { OrderId, OwnerId } from '../../src/domain/ids.ts';
import type { EffectKey } from '../../src/domain/ports.ts';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { expectCleanAudit, makeProducts, productIds } from '../support/shop.ts';
import { until } from '../support/until.ts';
import {
  BatchBuilder,
  claim,
  openPlain,
  openSession,
  stockOf,
  userOf,
  waitingForLock,
} from './batch-builder.ts';
import { makeCart } from './shop-rows.ts';

const IDS = productIds(2);
const [sold = '', locked = ''] = IDS;
const PARALLEL = 20;
const COMMANDS = 'commands';

let database: TestDatabase;
let pool: pg.Pool;
let builder: BatchBuilder;
let session: pg.Client;
let key: EffectKey;

beforeAll(async () => {
  database = await createTestDatabase();
  await makeProducts(database, { ids: IDS, stock: 1000 });
  // Whose the commands below are: something that can be counted.
  await database.query('CREATE TABLE done (id uuid PRIMARY KEY, n integer NOT NULL)');
  const { owners } = await claim(database, 'node');
  builder = new BatchBuilder(owners[0] ?? (0 as OwnerId));
  pool = openPool();
});

beforeEach(async () => {
  session = await openSession(database);
  key = { userId: userOf(randomUUID()), key: randomUUID(), request: 'a request' };
});

afterEach(async () => {
  await session.end();
});

afterAll(async () => {
  await pool.end();
  await expectCleanAudit(database);
  await database.close();
});

function openPool(): pg.Pool {
  return createPool({
    databaseUrl: database.url,
    max: PARALLEL,
    statementTimeoutMs: 5000,
    applicationName: COMMANDS,
    onError: () => undefined,
  });
}

interface Done {
  readonly id: string;
  readonly n: number;
}

/** Something that happens each time it is carried out. */
async function act(client: pg.PoolClient): Promise<Attempt<Done, 'refused'>> {
  const { rows } = await client.query<Done>(
    'INSERT INTO done SELECT gen_random_uuid(), count(*) FROM done RETURNING id, n',
  );
  const [effect] = rows;
  return effect === undefined ? { refused: 'refused' } : { effect };
}

async function refuse(client: pg.PoolClient): Promise<Attempt<Done, 'refused'>> {
  await act(client);
  return { refused: 'refused' };
}

function once(request = key): Promise<OnceOutcome<Done, 'refused'>> {
  return onceUnderKey(pool, request, act);
}

async function countDone(): Promise<number> {
  const rows = await database.query<{ n: number }>('SELECT count(*)::integer AS n FROM done');
  return rows[0]?.n ?? -1;
}

async function effects(): Promise<readonly unknown[]> {
  return database.query(
    /* sql */ `SELECT user_id, encode(request_hash, 'hex') AS hash, stock_after, order_id, result
                 FROM keyed_effects WHERE id = $1`,
    [idOf(key)],
  );
}

function idOf({ userId, key: text }: EffectKey): OrderId {
  return effectId(userId, text);
}

async function isOrder(id: OrderId): Promise<boolean> {
  return (await database.query('SELECT FROM orders WHERE id = $1', [id])).length > 0;
}

/** Ends the sessions of that name that wait for a lock. */
async function terminateWaiting(applicationName: string): Promise<void> {
  await database.query(
    /* sql */ `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND application_name = $1
                  AND wait_event_type = 'Lock'`,
    [applicationName],
  );
}

describe('a command under a key (I3)', () => {
  it('takes effect, binds its key to the result, and is replayed from then on', async () => {
    const before = await countDone();
    const first = await once();
    if (first.type !== 'done') throw new Error(first.type);
    expect(first).toEqual({ type: 'done', result: { id: first.result.id, n: before }, replayed: false }); // prettier-ignore
    const { userId, request } = key;
    const bound = { user_id: userId, hash: requestHashOf(request), stock_after: null, order_id: null }; // prettier-ignore
    expect(await effects()).toEqual([{ ...bound, result: first.result }]);
    expect(await isOrder(idOf(key))).toBe(false);
    for (let n = 0; n < 2; n += 1) expect(await once()).toEqual({ ...first, replayed: true });
    expect(await countDone()).toBe(before + 1);
  });

  it(`takes effect once when it is sent ${PARALLEL} times at once, and all get that effect`, async () => {
    const before = await countDone();
    const outcomes = await Promise.all(Array.from({ length: PARALLEL }, () => once()));
    const results = outcomes.map((done) => (done.type === 'done' ? done.result.id : done.type));
    expect(new Set(results).size).toBe(1);
    expect(outcomes.filter((done) => done.type === 'done' && !done.replayed)).toHaveLength(1);
    expect(await countDone()).toBe(before + 1);
    expect(await effects()).toHaveLength(1);
  });

  it('is another request under the same key: key-reused, whoever comes first', async () => {
    const before = await countDone();
    const other = { ...key, request: 'another request' };
    await once();
    expect(await once(other)).toEqual({ type: 'key-reused' });
    const raced = { ...key, key: randomUUID() };
    const outcomes = await Promise.all([once(raced), once({ ...raced, request: 'another' })]);
    expect(outcomes.map(({ type }) => type).toSorted()).toEqual(['done', 'key-reused']);
    expect(await countDone()).toBe(before + 2);
  });

  it('of one customer has nothing to do with that of another', async () => {
    const other = { ...key, userId: userOf(randomUUID()) };
    const outcomes = [await once(), await once(other)];
    expect(outcomes).toMatchObject([{ replayed: false }, { replayed: false }]);
  });

  it('keeps no key: each time is the first', async () => {
    const before = await countDone();
    const outcomes = [await onceUnderKey(pool, null, act), await onceUnderKey(pool, null, act)];
    expect(outcomes).toMatchObject([{ replayed: false }, { replayed: false }]);
    expect(await countDone()).toBe(before + 2);
  });

  it.each(['', 0, false, [1], 'text', { a: null }])(
    'is replayed whatever JSON it results in: %j',
    async (effect) => {
      const command = () => Promise.resolve({ effect });
      const outcomes = [
        await onceUnderKey(pool, key, command),
        await onceUnderKey(pool, key, command),
      ];
      const done = { type: 'done', result: effect };
      expect(outcomes).toEqual([{ ...done, replayed: false }, { ...done, replayed: true }]); // prettier-ignore
    },
  );
});

describe('a command that is refused', () => {
  it('leaves nothing and binds nothing: the next time it is decided afresh', async () => {
    const before = await countDone();
    const refused = { type: 'refused', refused: 'refused' };
    for (const given of [key, null]) {
      expect(await onceUnderKey(pool, given, refuse)).toEqual(refused);
    }
    expect(await countDone()).toBe(before);
    expect(await effects()).toEqual([]);
    expect(await once()).toMatchObject({ type: 'done', replayed: false });
  });

  it('by the effect that it had meanwhile under the same key is a repeat of it', async () => {
    const first = await onceUnderKey(pool, key, async () => {
      // Both found the key unbound; the other one is faster.
      const faster = await once();
      if (faster.type !== 'done') throw new Error(faster.type);
      return { refused: 'there is one already' };
    });
    expect(first).toMatchObject({ type: 'done', replayed: true });
    const other = { ...key, key: randomUUID() };
    const second = await onceUnderKey(pool, other, async () => {
      await once({ ...other, request: 'another request' });
      return { refused: 'there is one already' };
    });
    expect(second).toEqual({ type: 'key-reused' });
  });

  it('by an error leaves nothing, and the error comes through', async () => {
    const before = await countDone();
    const broken = onceUnderKey(pool, key, async (client) => {
      await act(client);
      throw new Error('a defect');
    });
    await expect(broken).rejects.toThrow('a defect');
    const refused = onceUnderKey(pool, key, (client) => client.query('SELECT 1 / 0').then(() => ({ effect: 1 }))); // prettier-ignore
    await expect(refused).rejects.toMatchObject({ code: '22012' });
    expect(await countDone()).toBe(before);
    expect(await effects()).toEqual([]);
  });
});

describe('a key that something else is bound to', () => {
  const orderUnder = (id: OrderId) => builder.order({ id, lines: [[sold, 1]] });

  it('by an order, a stock change or a checkout is reused, with the same hash too', async () => {
    const before = await countDone();
    const { userId, request } = key;
    const requestHash = requestHashOf(request);
    const lines = [[sold, 1]] as const;
    const cart = await makeCart(database, { userId, lines });
    const keys = [key, ...[1, 2].map(() => ({ ...key, key: randomUUID() }))];
    const [order, change, checkout] = keys.map(idOf) as [OrderId, OrderId, OrderId];
    const bound = { id: checkout, requestHash };
    const batch = builder.batch({
      orders: [
        builder.order({ id: order, requestHash, userId, lines }),
        builder.order({ userId, lines, cart: { ...cart, key: bound } }),
      ],
      stockChanges: [builder.change({ id: change, requestHash, productId: sold, delta: 1 })],
    });
    await writeBatch(session, batch);
    for (const each of keys) expect(await once(each)).toEqual({ type: 'key-reused' });
    expect(await countDone()).toBe(before);
  });

  it('by this command leaves no order, stock change or status change under it', async () => {
    await once();
    const id = idOf(key);
    const placed = builder.order({ lines: [[sold, 1]] });
    await writeBatch(session, builder.batch({ orders: [placed] }));
    const stock = await stockOf(database, sold);
    const batches = [
      builder.batch({ orders: [orderUnder(id)] }),
      builder.batch({ stockChanges: [builder.change({ id, productId: sold, delta: 1 })] }),
      builder.batch({
        statusChanges: [builder.status({ orderId: placed.command.id, to: 'CANCELLED', key: id })],
      }),
    ];
    for (const batch of batches) {
      const report = await writeBatch(session, batch);
      expect(report).toEqual({ ...NOTHING_TO_REPORT, duplicates: [id] });
    }
    expect(await stockOf(database, sold)).toBe(stock);
    expect(await isOrder(id)).toBe(false);
  });

  it.each(['COMMIT', 'ROLLBACK'])('by an order on the way waits for its %s', async (end) => {
    const before = await countDone();
    const blocker = await openPlain(database);
    try {
      await blocker.query('BEGIN');
      await blocker.query('SELECT FROM products WHERE id = $1 FOR UPDATE', [locked]);
      const orders = [orderUnder(idOf(key)), builder.order({ lines: [[locked, 1]] })];
      const writing = writeBatch(session, builder.batch({ orders }));
      writing.catch(() => undefined);
      await until('the batch waits', async () => (await waitingForLock(database, 'commit')) === 1);
      const outcome = once();
      await until('the key waits', async () => (await waitingForLock(database, COMMANDS)) === 1);
      if (end === 'ROLLBACK') {
        await terminateWaiting('commit');
      }
      await blocker.query('COMMIT');
      const won = end === 'ROLLBACK';
      expect(await outcome).toMatchObject(won ? { type: 'done', replayed: false } : { type: 'key-reused' }); // prettier-ignore
      expect(await countDone()).toBe(before + (won ? 1 : 0));
    } finally {
      await blocker.end();
    }
  });

  it('by this command on the way is what an order waits for', async () => {
    const binder = await database.pool.connect();
    try {
      await binder.query('BEGIN');
      await binder.query(`SELECT bind_key($1, $2, '\\x00', '{}')`, [idOf(key), key.userId]);
      const writing = writeBatch(session, builder.batch({ orders: [orderUnder(idOf(key))] }));
      await until('the batch waits', async () => (await waitingForLock(database, 'commit')) === 1);
      await binder.query('COMMIT');
      expect(await writing).toEqual({ ...NOTHING_TO_REPORT, duplicates: [idOf(key)] });
    } finally {
      binder.release();
    }
  });
});

describe('a connection that is lost', () => {
  it('before COMMIT: nothing took effect, and the same key settles it', async () => {
    const before = await countDone();
    const cut = onceUnderKey(pool, key, async (client) => {
      const attempt = await act(client);
      const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
      await database.query('SELECT pg_terminate_backend($1)', [rows[0]?.pid]);
      return attempt;
    });
    await expect(cut).rejects.toMatchObject({ code: 'database-unavailable' });
    expect(await countDone()).toBe(before);
    expect(await once()).toMatchObject({ type: 'done', replayed: false });
  });

  it('at COMMIT: outcome-unknown, and the same key settles it', async () => {
    const before = await countDone();
    await database.query(/* sql */ `
      CREATE FUNCTION wait_in_commit() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN PERFORM pg_advisory_xact_lock_shared(4711); RETURN NULL; END $$;
      CREATE CONSTRAINT TRIGGER wait_in_commit AFTER INSERT ON done
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait_in_commit()`);
    const blocker = await openPlain(database);
    try {
      await blocker.query('SELECT pg_advisory_lock(4711)');
      const cut = once();
      cut.catch(() => undefined);
      await until('it stands at COMMIT', async () => (await waitingForLock(database, COMMANDS)) === 1); // prettier-ignore
      await terminateWaiting(COMMANDS);
      await expect(cut).rejects.toMatchObject({ code: 'outcome-unknown' });
    } finally {
      await blocker.end();
      await database.query('DROP TRIGGER wait_in_commit ON done');
    }
    expect(await countDone()).toBe(before);
    expect(await once()).toMatchObject({ type: 'done', replayed: false });
  });

  it('after COMMIT, before its answer: outcome-unknown, and the same key replays it', async () => {
    const before = await countDone();
    const cut = onceUnderKey(pool, key, async (client) => {
      const query = client.query.bind(client) as (text: string) => Promise<unknown>;
      Object.assign(client, {
        query: async (text: string, ...rest: unknown[]) => {
          const answer = await Reflect.apply(query, client, [text, ...rest]);
          if (text === 'COMMIT') throw new Error('Connection terminated unexpectedly');
          return answer;
        },
      });
      return act(client);
    });
    await expect(cut).rejects.toMatchObject({ code: 'outcome-unknown' });
    expect(await countDone()).toBe(before + 1);
    expect(await once()).toMatchObject({ type: 'done', result: { n: before }, replayed: true });
  });
});

describe('several statements in one transaction', () => {
  it('take effect together or not at all', async () => {
    const before = await countDone();
    await inTransaction(pool, async (client) => [await act(client), await act(client)]);
    expect(await countDone()).toBe(before + 2);
    const broken = inTransaction(pool, async (client) => {
      await act(client);
      await client.query('SELECT 1 / 0');
    });
    await expect(broken).rejects.toMatchObject({ code: '22012' });
    // A failure that nobody looks at is one all the same: COMMIT would answer ROLLBACK.
    const swallowed = inTransaction(pool, async (client) => {
      await act(client);
      await client.query('SELECT 1 / 0').catch(() => undefined);
    });
    await expect(swallowed).rejects.toMatchObject({ code: 'outcome-unknown' });
    expect(await countDone()).toBe(before + 2);
  });
});
