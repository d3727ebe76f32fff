import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createOperatorLog } from '../../src/db/operator-log.ts';
import { createPool } from '../../src/db/pool.ts';
import { parseUserId } from '../../src/domain/ids.ts';
import type { UserId } from '../../src/domain/ids.ts';
import type { OperatorAction, OperatorLog } from '../../src/domain/operator-action.ts';
import type { Cursor, EffectKey } from '../../src/domain/ports.ts';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let pool: ReturnType<typeof createPool>;
let log: OperatorLog;

beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool({
    databaseUrl: database.url,
    max: 6,
    statementTimeoutMs: 5000,
    applicationName: 'operator-log-under-test',
    onError: () => undefined,
  });
  log = createOperatorLog(pool);
});
afterAll(async () => {
  await pool.end();
  await database.close();
});

function newUserId(): UserId {
  const id = parseUserId(randomUUID());
  if (id === undefined) throw new Error('not an id');
  return id;
}

const AUTHOR = newUserId();
const ACTION = { kind: 'pause', target: randomUUID(), reason: 'a wrong price' } as const;

function keyOf(author: UserId, key: string, request = 'pause'): EffectKey {
  return { userId: author, key, request };
}

async function recorded(action: Parameters<OperatorLog['record']>[0], key: EffectKey | null) {
  const outcome = await log.record(action, key);
  if (outcome.type !== 'recorded') throw new Error(outcome.type);
  return outcome;
}

async function rowsOf(author: UserId): Promise<readonly OperatorAction[]> {
  const { items } = await log.list({ limit: 100, after: null });
  return items.filter((action) => action.author === author);
}

describe('an action', () => {
  test('is there before it is done, with who, what, to what and why, and has no outcome', async () => {
    const before = Date.now();
    const { id, replayed, outcome } = await recorded({ ...ACTION, author: AUTHOR }, null);
    expect({ replayed, outcome }).toEqual({ replayed: false, outcome: null });
    const [row] = await rowsOf(AUTHOR);
    expect(row).toEqual({
      ...ACTION,
      id,
      author: AUTHOR,
      createdAt: expect.any(Number),
      outcome: null,
    });
    expect(Math.abs((row?.createdAt ?? 0) - before)).toBeLessThan(60_000);
  });

  test('without a key is another one each time', async () => {
    const author = newUserId();
    const first = await recorded({ ...ACTION, author }, null);
    const second = await recorded({ ...ACTION, author }, null);
    expect(second.id).not.toBe(first.id);
    expect(await rowsOf(author)).toHaveLength(2);
  });

  test('gets its outcome, which a repeat under its key is told (I3)', async () => {
    const author = newUserId();
    const key = keyOf(author, 'k-1');
    const first = await recorded({ ...ACTION, author }, key);
    expect(await recorded({ ...ACTION, author }, key)).toEqual({ ...first, replayed: true });
    await log.settle(first.id, 'overloaded');
    expect(await recorded({ ...ACTION, author }, key)).toEqual({
      ...first,
      replayed: true,
      outcome: 'overloaded',
    });
    await log.settle(first.id, 'done');
    const again = await recorded({ ...ACTION, author }, key);
    expect(again).toEqual({ ...first, replayed: true, outcome: 'done' });
    expect(await rowsOf(author)).toHaveLength(1);
  });

  test('that was done stays done, whatever a second one under its key comes to', async () => {
    const author = newUserId();
    const { id } = await recorded({ ...ACTION, author }, null);
    await log.settle(id, 'done');
    await log.settle(id, 'overloaded');
    expect(await rowsOf(author)).toMatchObject([{ id, outcome: 'done' }]);
  });

  test('is recorded once under its key, also by requests at the same moment (I3)', async () => {
    const author = newUserId();
    const key = keyOf(author, 'k-1');
    const all = await Promise.all(
      Array.from({ length: 5 }, () => recorded({ ...ACTION, author }, key)),
    );
    expect(new Set(all.map(({ id }) => id)).size).toBe(1);
    expect(all.filter(({ replayed }) => !replayed)).toHaveLength(1);
    expect(await rowsOf(author)).toHaveLength(1);
  });

  test('under the key of another request is none', async () => {
    const author = newUserId();
    await recorded({ ...ACTION, author }, keyOf(author, 'k-1'));
    const other = keyOf(author, 'k-1', 'resume');
    expect(await log.record({ ...ACTION, kind: 'resume', author }, other)).toEqual({
      type: 'key-reused',
    });
    const stranger = newUserId();
    await recorded({ ...ACTION, author: stranger }, keyOf(stranger, 'k-1', 'resume'));
    expect(await rowsOf(author)).toHaveLength(1);
  });
});

test('the list is newest first, page by page, without a gap or a repeat', async () => {
  const rows = await database.query<{ id: string }>(/* sql */ `
    INSERT INTO operator_actions (id, kind, target, author, created_at, outcome)
    SELECT gen_random_uuid(), 'restart', n::text, gen_random_uuid(),
           timestamptz '2199-01-01' + (n / 2) * interval '1 microsecond', 'done'
      FROM generate_series(1, 7) AS n
    RETURNING id`);
  const seen: string[] = [];
  let after: Cursor | null = null;
  while (seen.length < rows.length) {
    const page = await log.list({ limit: 3, after });
    seen.push(...page.items.map(({ id }) => id));
    after = page.next;
  }
  const expected = await database.query<{ id: string }>(/* sql */ `
    SELECT id FROM operator_actions ORDER BY created_at DESC, id DESC LIMIT 9`);
  expect(seen).toEqual(expected.map(({ id }) => id).slice(0, seen.length));
  const last = await log.list({ limit: 100, after: null });
  expect(last.next).toBeNull();
  expect(last.items.at(-1)?.author).toBe(AUTHOR);
});
