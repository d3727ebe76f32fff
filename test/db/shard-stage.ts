/** A database with two products, batches of an owner, and shards' sessions that can be harmed. */
import { ShardDatabase } from '../../src/db/shard-database.ts';
import type { ShardDatabaseOptions } from '../../src/db/shard-database.ts';
import type { Batch } from '../../src/domain/batch.ts';
import type { OwnerId } from '../../src/domain/ids.ts';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { expectCleanAudit, makeProducts, productIds } from '../support/shop.ts';
import { until } from '../support/until.ts';
import { BatchBuilder, claim } from './batch-builder.ts';
import { CommitGate } from './commit-gate.ts';

export const STOCK = 1000;
/** Application name of the sessions. */
export const SHARD = 'shard';
/** For `silenceMsMax` of a shard that does not wait for its statements to time out. */
export const SILENCE_MS = 400;
export const STATEMENT_TIMEOUT_MS = 5000;
export const [HOT = '', COLD = ''] = productIds(2);

export class ShardStage {
  readonly database: TestDatabase;
  readonly gate: CommitGate;
  /** Of the owner of this test. */
  builder = new BatchBuilder(0 as OwnerId);
  readonly #sequences = new Map<string, number>();
  readonly #opened: ShardDatabase[] = [];
  readonly #stopped: number[] = [];

  private constructor(database: TestDatabase, gate: CommitGate) {
    this.database = database;
    this.gate = gate;
  }

  static async build(): Promise<ShardStage> {
    const database = await createTestDatabase();
    const gate = await CommitGate.build(database);
    await makeProducts(database, { ids: [HOT, COLD], stock: STOCK });
    return new ShardStage(database, gate);
  }

  async enter(): Promise<void> {
    const { owners } = await claim(this.database, 'node');
    this.builder = new BatchBuilder(owners[0] ?? (0 as OwnerId), this.#sequences);
  }

  /** Heals what the test has harmed, and closes what it has opened. */
  async leave(): Promise<void> {
    for (const pid of this.#stopped.splice(0)) this.wake(pid);
    await this.gate.open();
    await Promise.all(this.#opened.splice(0).map((shard) => shard.close()));
    await this.allGone();
  }

  async close(): Promise<void> {
    await expectCleanAudit(this.database);
    await this.database.close();
  }

  async open(options: Partial<ShardDatabaseOptions> = {}): Promise<ShardDatabase> {
    const shard = await ShardDatabase.open({
      databaseUrl: this.database.url,
      applicationName: SHARD,
      statementTimeoutMs: STATEMENT_TIMEOUT_MS,
      silenceMsMax: STATEMENT_TIMEOUT_MS,
      commitsInFlightMax: 2,
      ...options,
    });
    this.#opened.push(shard);
    return shard;
  }

  /** A batch of one order. */
  sale(units = 1, productId = HOT): Batch {
    return this.builder.batch({ orders: [this.builder.order({ lines: [[productId, units]] })] });
  }

  /** Process ids of the sessions. */
  async backends(): Promise<number[]> {
    const rows = await this.database.query<{ pid: number }>(
      /* sql */ `SELECT pid FROM pg_stat_activity
                  WHERE datname = current_database() AND application_name = $1 ORDER BY pid`,
      [SHARD],
    );
    return rows.map(({ pid }) => pid);
  }

  async terminate(pids: readonly number[]): Promise<void> {
    const sql = 'SELECT pg_terminate_backend(pid) FROM unnest($1::integer[]) AS pid';
    await this.database.query(sql, [pids]);
  }

  /** Every session has ended, and its client had the time to learn of it. */
  async allGone(): Promise<void> {
    await until('the sessions are gone', async () => (await this.backends()).length === 0);
    // Their last words are there by now, and are read while this waits.
    await this.backends();
  }

  /** SIGSTOP: a backend that hangs, neither ends nor answers. Woken after the test at the latest. */
  stop(pid: number): void {
    process.kill(pid, 'SIGSTOP');
    this.#stopped.push(pid);
  }

  wake(pid: number): void {
    try {
      process.kill(pid, 'SIGCONT');
    } catch (error) {
      // It woke in the test and is gone since.
      if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
    }
  }
}
