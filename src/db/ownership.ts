/**
 * Who owns the partitions (I5): takeover, replacement of one owner, the proof that an owner is not
 * fenced, release.
 *
 * Owns: the tables `owners`, `partitions` and `engine_settings`. Nothing else writes them.
 *
 * The order of a takeover matters. Without the global lock two takers read the same `partitions`,
 * fence the same owners and both end unfenced; without the exclusive owner locks a transaction that
 * passed its fence check before the fence could commit after the new owner has loaded.
 */
import type pg from 'pg';
import type { OwnerId } from '../domain/ids.ts';

/** First key of the two-key advisory locks of owners; db/merge.sql takes them shared. */
const OWNER_LOCKS = 1214605645;
/** One-key advisory lock that serialises takeovers and releases. */
const TAKEOVER_LOCK = 4_821_460_564_501;
/**
 * Milliseconds for transactions of former owners to end before they are terminated. Of another
 * process they may be in full flight; of an owner whose thread died nobody awaits them any more,
 * and its customers wait for the next owner.
 */
const PATIENCE_MS = 2000;
const REPLACE_PATIENCE_MS = 250;
const LOCK_NOT_AVAILABLE = '55P03';

const FORMER_OWNERS_SQL = /* sql */ `
  SELECT o.id, o.node, o.fenced_at IS NULL AS live
    FROM owners o
   WHERE o.id IN (SELECT owner_id FROM partitions)
   ORDER BY o.id`;
const LOCK_SQL = /* sql */ `SELECT pg_advisory_xact_lock($1, $2)`;
/**
 * A taker that hangs or lost power must not keep everybody locked out, nor wait for ever itself.
 * The time between two statements is short, so a long one means that the client is gone.
 */
const TIMEOUTS_SQL = /* sql */ `
  SET LOCAL idle_in_transaction_session_timeout = '5s';
  SET LOCAL statement_timeout = '30s';
  SET LOCAL lock_timeout = '20s'`;
/** A dead backend still holds its locks for a moment, so the caller locks again afterwards. */
const TERMINATE_SQL = /* sql */ `
  SELECT pg_terminate_backend(pid)
    FROM pg_locks
   WHERE locktype = 'advisory' AND classid = $1::oid AND objid = $2::oid AND objsubid = 2
     AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
     AND granted AND pid <> pg_backend_pid()`;
const FENCE_SQL = /* sql */ `
  UPDATE owners SET fenced_at = clock_timestamp(), fenced_by = $2
   WHERE id = ANY ($1) AND fenced_at IS NULL`;
const CREATE_OWNER_SQL = /* sql */ `
  INSERT INTO owners (node, shard, started_at) VALUES ($1, $2, clock_timestamp()) RETURNING id`;
const CLAIM_SQL = /* sql */ `
  UPDATE partitions SET owner_id = ($1::integer[])[1 + id % cardinality($1::integer[])]`;
/** An owner of a shard and those that replaced it: at most the last one is not fenced. */
const SUCCESSION_SQL = /* sql */ `
  SELECT id, fenced_by FROM owners WHERE node = $1 AND shard = $2 AND id >= $3 ORDER BY id`;
const INHERIT_SQL = /* sql */ `UPDATE partitions SET owner_id = $2 WHERE owner_id = $1`;
const UNCLAIM_SQL = /* sql */ `
  UPDATE partitions SET owner_id = NULL WHERE owner_id = ANY ($1)`;
/** Before anybody can place an order that lives longer than any before it. */
const HOLD_TTL_SQL = /* sql */ `
  UPDATE engine_settings SET hold_ttl_max = greatest(hold_ttl_max, $1 * interval '1 ms')`;
/**
 * The new owners' clock may be behind that of those who moved the watermarks, and an order must not
 * be made long before its partition's. The table's lock keeps the two from waiting for each other.
 */
const LOWER_WATERMARKS_SQL = /* sql */ `
  UPDATE expiry_watermarks SET expired_until = $1 WHERE expired_until > $1`;
const LOCK_WATERMARKS_SQL = /* sql */ `LOCK expiry_watermarks IN SHARE ROW EXCLUSIVE MODE`;
const PROOF_SQL = /* sql */ `SELECT fenced_by FROM owners WHERE id = $1 AND fenced_at IS NOT NULL`;

export interface Takeover {
  /** By shard: owner of every partition with `partition % shards = shard`. */
  readonly owners: readonly OwnerId[];
  /** Nodes that were fenced although they had not released their partitions. */
  readonly fencedNodes: readonly string[];
}

/**
 * Fences whoever owns partitions and claims them all. Bind the port first, so that a second start
 * by mistake fails before it fences. When somebody was fenced, wait one second before serving: a
 * fenced owner may go on refusing for as long as its last proof of ownership is fresh.
 */
export async function takeOver(
  client: pg.ClientBase,
  claim: {
    readonly node: string;
    readonly shards: number;
    /** Milliseconds that an order of this node has to be paid. */
    readonly holdTtlMs: number;
  },
): Promise<Takeover> {
  return inTakeoverLock(client, async () => {
    const former = await client.query<{ id: OwnerId; node: string; live: boolean }>(
      FORMER_OWNERS_SQL,
    );
    const formerIds = former.rows.map(({ id }) => id);
    await fence(client, formerIds, { by: claim.node, patienceMs: PATIENCE_MS });
    const owners: OwnerId[] = [];
    for (let shard = 0; shard < claim.shards; shard += 1) {
      owners.push(await createOwner(client, claim.node, shard));
    }
    await client.query(CLAIM_SQL, [owners]);
    await client.query(HOLD_TTL_SQL, [claim.holdTtlMs]);
    await client.query(LOCK_WATERMARKS_SQL);
    await client.query(LOWER_WATERMARKS_SQL, [new Date()]);
    const live = former.rows.filter((owner) => owner.live).map((owner) => owner.node);
    return { owners, fencedNodes: [...new Set(live)] };
  });
}

/**
 * Makes a new owner for the partitions of one of this node whose thread is dead. Refused, saying by
 * whom, once another node has fenced `former`: whoever was fenced must not fence back. Batches of
 * other shards that touch `former`'s products and do not end soon are terminated.
 *
 * May be repeated after a lost answer: the owner that the lost try made is replaced in its turn,
 * since nobody serves as it.
 */
export async function replaceOwner(
  client: pg.ClientBase,
  replacement: { readonly node: string; readonly shard: number; readonly former: OwnerId },
): Promise<{ readonly owner: OwnerId } | { readonly fencedBy: string }> {
  const { node, shard, former } = replacement;
  return inTakeoverLock(client, async () => {
    const { rows } = await client.query<{ id: OwnerId; fenced_by: string | null }>(SUCCESSION_SQL, [
      node,
      shard,
      former,
    ]);
    const last = rows.at(-1);
    if (last === undefined || rows[0]?.id !== former) {
      throw new Error(`owner ${former} is not of shard ${shard} of node ${node}`);
    }
    if (last.fenced_by !== null) return { fencedBy: last.fenced_by };
    await fence(client, [last.id], { by: node, patienceMs: REPLACE_PATIENCE_MS });
    const owner = await createOwner(client, node, shard);
    await client.query(INHERIT_SQL, [last.id, owner]);
    return { owner };
  });
}

/** Gives the partitions back after a clean stop, so that the next start need not wait. */
export async function releaseOwners(
  client: pg.ClientBase,
  release: { readonly node: string; readonly owners: readonly OwnerId[] },
): Promise<void> {
  await inTakeoverLock(client, async () => {
    await fence(client, release.owners, { by: release.node, patienceMs: PATIENCE_MS });
    await client.query(UNCLAIM_SQL, [release.owners]);
  });
}

/** Null while the owner is not fenced, else who fenced it. */
export async function findFence(client: pg.ClientBase, owner: OwnerId): Promise<string | null> {
  const { rows } = await client.query<{ fenced_by: string }>(PROOF_SQL, [owner]);
  return rows[0]?.fenced_by ?? null;
}

/** In ascending order, after the transactions of each have ended. The first fence of an owner stands. */
async function fence(
  client: pg.ClientBase,
  owners: readonly OwnerId[],
  { by, patienceMs }: { readonly by: string; readonly patienceMs: number },
): Promise<void> {
  for (const owner of owners.toSorted((a, b) => a - b)) await lockOut(client, owner, patienceMs);
  await client.query(FENCE_SQL, [owners, by]);
}

async function createOwner(client: pg.ClientBase, node: string, shard: number): Promise<OwnerId> {
  const { rows } = await client.query<{ id: OwnerId }>(CREATE_OWNER_SQL, [node, shard]);
  const [created] = rows;
  if (created === undefined) throw new Error('INSERT returned no owner');
  return created.id;
}

/**
 * Waits until no transaction of the owner is under way; one that does not end is terminated. The
 * lock is queued for, not polled: commits that overlap would hold it off for ever.
 */
async function lockOut(client: pg.ClientBase, owner: OwnerId, patienceMs: number): Promise<void> {
  await client.query(`SAVEPOINT patience; SET LOCAL lock_timeout = ${patienceMs}`);
  try {
    await client.query(LOCK_SQL, [OWNER_LOCKS, owner]);
    await client.query('RELEASE SAVEPOINT patience; SET LOCAL lock_timeout = 20000');
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === LOCK_NOT_AVAILABLE)) {
      throw error;
    }
    // Rolling back to the savepoint also restores the longer timeout.
    await client.query('ROLLBACK TO SAVEPOINT patience');
    await client.query(TERMINATE_SQL, [OWNER_LOCKS, owner]);
    await client.query(LOCK_SQL, [OWNER_LOCKS, owner]);
  }
}

async function inTakeoverLock<T>(client: pg.ClientBase, work: () => Promise<T>): Promise<T> {
  await client.query('BEGIN ISOLATION LEVEL READ COMMITTED');
  try {
    await client.query(TIMEOUTS_SQL);
    await client.query('SELECT pg_advisory_xact_lock($1)', [TAKEOVER_LOCK]);
    const result = await work();
    const { command } = await client.query('COMMIT');
    if (command !== 'COMMIT') throw new Error(`the takeover ended with ${command}, not COMMIT`);
    return result;
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
}
