/**
 * Transactions off the commit path, and the one way in which a command that no batch carries takes
 * effect once per Idempotency-Key (I3): key, hash and result are bound in the transaction of the
 * effect, by the same primary key that arbitrates orders.
 */
import type { Pool, PoolClient, QueryConfig, QueryResultRow } from 'pg';
import { AppError } from '../domain/errors.ts';
import type { UserId } from '../domain/ids.ts';
import type { EffectKey } from '../domain/ports.ts';
import { toAppError } from './db-error.ts';
import { effectId, requestHashOf } from './effect-id.ts';
import { assertRoom, queryRows } from './pool.ts';

/** What a command came to: an effect, whose result is JSON, or nothing. */
export type Attempt<T, R> = { readonly effect: T } | { readonly refused: R };

export type OnceOutcome<T, R> =
  | { readonly type: 'done'; readonly result: T; readonly replayed: boolean }
  | { readonly type: 'refused'; readonly refused: R }
  | { readonly type: 'key-reused' };

const FIND_KEY = /* sql */ `
  SELECT encode(request_hash, 'hex') AS "requestHash", result FROM keyed_effects WHERE id = $1
   UNION ALL
  SELECT encode(request_hash, 'hex'), NULL FROM orders WHERE id = $1`;

const BIND_KEY = /* sql */ `SELECT bind_key($1, $2, decode($3, 'hex'), $4) AS bound`;

/** Null = without a key. `request`: JSON that is equal for equal requests and for no others. */
export function effectKey(userId: UserId, key: string | null, request: unknown): EffectKey | null {
  return key === null ? null : { userId, key, request: JSON.stringify(request) };
}

/**
 * Carries the command out in one READ COMMITTED transaction, unless its key is bound.
 *
 * The key is bound last, in one statement before COMMIT: a batch with the same key waits for that
 * row, so it must not be held for longer. Whoever loses that race has done its work for nothing and
 * is rolled back.
 *
 * @throws AppError `database-unavailable` when nothing took effect, `outcome-unknown` when the
 * COMMIT was not answered.
 */
export async function onceUnderKey<T, R>(
  pool: Pool,
  key: EffectKey | null,
  command: (client: PoolClient) => Promise<Attempt<T, R>>,
): Promise<OnceOutcome<T, R>> {
  if (key === null) {
    const attempt = await transact(pool, command, (done) => Promise.resolve('effect' in done));
    return outcomeOf(attempt);
  }
  const id = effectId(key.userId, key.key);
  const requestHash = requestHashOf(key.request);
  const known = await findKey<T>(pool, { id, requestHash });
  if (known !== null) return known;
  let bound = true;
  const attempt = await transact(pool, command, async (done, client) => {
    if (!('effect' in done)) return false;
    const values = [id, key.userId, requestHash, JSON.stringify(done.effect)];
    const { rows } = await client.query<{ bound: boolean }>(BIND_KEY, values);
    bound = rows[0]?.bound === true;
    return bound;
  });
  const outcome: OnceOutcome<T, R> = bound ? outcomeOf(attempt) : { type: 'key-reused' };
  if (outcome.type === 'done') return outcome;
  // What refused the command may be the effect that it had meanwhile under this very key.
  return (await findKey<T>(pool, { id, requestHash })) ?? outcome;
}

function outcomeOf<T, R>(attempt: Attempt<T, R>): OnceOutcome<T, R> {
  if ('refused' in attempt) return { type: 'refused', refused: attempt.refused };
  return { type: 'done', result: attempt.effect, replayed: false };
}

/** What the key is bound to; null = nothing. */
async function findKey<T>(
  pool: Pool,
  { id, requestHash }: { readonly id: string; readonly requestHash: string },
): Promise<OnceOutcome<T, never> | null> {
  const rows = await queryRows<{ requestHash: string; result: T | null }>(pool, {
    text: FIND_KEY,
    values: [id],
  });
  const [row] = rows;
  if (row === undefined) return null;
  if (row.requestHash !== requestHash || row.result === null) return { type: 'key-reused' };
  return { type: 'done', result: row.result, replayed: true };
}

/**
 * Work in one READ COMMITTED transaction, committed if `keep` says so and rolled back otherwise.
 *
 * @throws AppError as `onceUnderKey`.
 */
async function transact<T>(
  pool: Pool,
  work: (client: PoolClient) => Promise<T>,
  keep: (done: T, client: PoolClient) => Promise<boolean>,
): Promise<T> {
  const client = await connect(pool);
  let committing = false;
  try {
    await client.query('BEGIN ISOLATION LEVEL READ COMMITTED');
    const done = await work(client);
    const kept = await keep(done, client);
    committing = kept;
    const end = await client.query(kept ? 'COMMIT' : 'ROLLBACK');
    if (kept && end.command !== 'COMMIT') throw new Error(`COMMIT answered ${end.command}`);
    client.release();
    return done;
  } catch (error) {
    // The connection may be gone, or in the middle of a transaction: another one takes its place.
    client.release(true);
    const known = toAppError(error);
    if (!committing) throw known;
    throw new AppError('outcome-unknown', { cause: error });
  }
}

/** One statement that changes something: only a COMMIT that was not answered leaves a doubt. */
export function changeRows<Row extends QueryResultRow>(
  pool: Pool,
  query: QueryConfig<unknown[]>,
): Promise<readonly Row[]> {
  return inTransaction(pool, async (client) => (await client.query<Row>(query)).rows);
}

/** Several statements that belong together. */
export function inTransaction<T>(pool: Pool, work: (client: PoolClient) => Promise<T>): Promise<T> {
  return transact(pool, work, () => Promise.resolve(true));
}

async function connect(pool: Pool): Promise<PoolClient> {
  assertRoom(pool);
  try {
    return await pool.connect();
  } catch (error) {
    throw toAppError(error);
  }
}
