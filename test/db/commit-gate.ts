/**
 * Stops a batch inside of its transaction for as long as a test wants, by triggers of the test's own
 * database that wait for a lock. Claims of a batch's name pass.
 */
import type pg from 'pg';
import type { TestDatabase } from '../support/database.ts';
import { until } from '../support/until.ts';

const LOCK = 471_148;

const TRIGGERS_SQL = /* sql */ `
  CREATE FUNCTION wait_at_gate() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    PERFORM pg_advisory_xact_lock_shared(${LOCK});
    RETURN NEW;
  END $$;
  CREATE TRIGGER before_name BEFORE INSERT ON commit_batches
    FOR EACH ROW WHEN (NOT NEW.aborted) EXECUTE FUNCTION wait_at_gate();
  -- Deferred triggers are the first thing that COMMIT does.
  CREATE CONSTRAINT TRIGGER in_commit AFTER INSERT ON commit_batches
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NOT NEW.aborted) EXECUTE FUNCTION wait_at_gate();
  ALTER TABLE commit_batches DISABLE TRIGGER USER`;

/** Before the batch has its name in `commit_batches`, or when COMMIT has begun. */
export type GatePoint = 'before_name' | 'in_commit';

export class CommitGate {
  readonly #database: TestDatabase;
  #holder: pg.PoolClient | null = null;

  private constructor(database: TestDatabase) {
    this.#database = database;
  }

  static async build(database: TestDatabase): Promise<CommitGate> {
    await database.query(TRIGGERS_SQL);
    return new CommitGate(database);
  }

  async shut(point: GatePoint): Promise<void> {
    await this.#database.query(`ALTER TABLE commit_batches ENABLE TRIGGER ${point}`);
    this.#holder = await this.#database.pool.connect();
    await this.#holder.query('SELECT pg_advisory_lock($1)', [LOCK]);
  }

  /** Whoever waits goes on, to its end, and nobody waits again. Does nothing when it is open. */
  async open(): Promise<void> {
    const holder = this.#holder;
    if (holder === null) return;
    this.#holder = null;
    await holder.query('SELECT pg_advisory_unlock($1)', [LOCK]);
    holder.release();
    // Waits for the transactions that used the table.
    await this.#database.query('ALTER TABLE commit_batches DISABLE TRIGGER USER');
  }

  /** Process id of the one backend that waits at the gate. */
  async waiter(): Promise<number> {
    let pids: number[] = [];
    await until('one batch at the gate', async () => {
      pids = await this.#waiters();
      return pids.length === 1;
    });
    return pids[0] ?? Number.NaN;
  }

  async #waiters(): Promise<number[]> {
    const rows = await this.#database.query<{ pid: number }>(/* sql */ `
      SELECT pid FROM pg_locks
       WHERE locktype = 'advisory' AND objid = ${LOCK} AND NOT granted
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`);
    return rows.map(({ pid }) => pid);
  }
}
