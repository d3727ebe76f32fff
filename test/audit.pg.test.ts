import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AUDIT_RULES } from '../src/db/audit.ts';
import { insertHistory } from './db/audit-history.ts';
import { runCommand } from './run-command.ts';
import type { CommandResult } from './run-command.ts';
import { createTestDatabase } from './support/database.ts';
import type { TestDatabase } from './support/database.ts';

const SECRET = 'x'.repeat(64);

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
  await insertHistory(database);
});
afterAll(async () => {
  await database.close();
});

function audit(started?: (pid: number | undefined) => void): Promise<CommandResult> {
  return runCommand('audit', {
    environment: { DATABASE_URL: database.url, JWT_SECRET: SECRET },
    ...(started === undefined ? {} : { started }),
  });
}

const lines = (text: string): readonly string[] => text.trimEnd().split('\n');

describe('npm run audit', () => {
  test('exits 0 with a summary when every rule holds, and shows its progress', async () => {
    const { code, stdout, stderr } = await audit();
    expect(stdout).toMatch(
      /^audit passed: \d+ rules checked, 0 broken, 0 violations; 8 orders, 12 lines, 3 products in [\d.]+ s\n$/,
    );
    expect(code).toBe(0);
    expect(stderr).toContain('audit: [1/');
    expect(lines(stderr)).toHaveLength(AUDIT_RULES.length);
  });

  test('prints one line per violation up to a bound, a summary, and exits 1', async () => {
    await database.query(
      `INSERT INTO commit_batches SELECT n, 1, false, 0, now() FROM generate_series(1001, 1105) n`,
    );
    await database.query(`UPDATE partitions SET owner_id = 1 WHERE id = 17`);
    const { code, stdout } = await audit();
    await database.query(`DELETE FROM commit_batches WHERE owner_id > 1000`);
    await database.query(`UPDATE partitions SET owner_id = 2`);
    const printed = lines(stdout);
    expect(code).toBe(1);
    expect(printed[0]).toMatch(
      /^violation partition-owner \(I5\): partition=17 owner_id=1 node=first shard=0 fenced_at=\S+ fenced_by=second$/,
    );
    expect(printed).toHaveLength(1 + 100 + 1 + 1);
    expect(printed).toContain('violation batch-owner (I5): owner_id=1042 batches=1');
    expect(printed.at(-2)).toBe('violation batch-owner (I5): and 5 more');
    expect(printed.at(-1)).toMatch(/^audit FAILED: \d+ rules checked, 2 broken, 106 violations; /);
  });

  test('exits 2 when the database cannot be reached, without showing the password', async () => {
    const { code, stdout, stderr } = await runCommand('audit', {
      environment: { DATABASE_URL: 'postgres://me:hunter2@127.0.0.1:1/shop', JWT_SECRET: SECRET },
    });
    expect(code).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toBe('audit: could not run: connect ECONNREFUSED 127.0.0.1:1\n');
  });

  test('exits 2 when the configuration is wrong, naming the variable', async () => {
    const { code, stderr } = await runCommand('audit', { environment: { DATABASE_URL: 'shop' } });
    expect(code).toBe(2);
    expect(stderr).toContain('could not run: DATABASE_URL must be');
  });

  test('exits 2 when it is interrupted, because nothing is known then', async () => {
    const blocker = await database.pool.connect();
    try {
      await blocker.query('BEGIN; LOCK TABLE keyed_effects IN ACCESS EXCLUSIVE MODE');
      let pid: number | undefined;
      const running = audit((started) => {
        pid = started;
      });
      await waitForBlockedAudit();
      process.kill(pid ?? Number.NaN, 'SIGINT');
      const { code, stderr } = await running;
      expect(code).toBe(2);
      expect(stderr).toContain('could not run: ');
    } finally {
      await blocker.query('ROLLBACK');
      blocker.release();
    }
  });

  test('without a DATABASE_URL it starts the embedded PostgreSQL, and stops it again', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'hedonify-audit-'));
    try {
      const { code, stderr } = await runCommand('audit', { environment: { DATA_DIR: dataDir } });
      expect(code).toBe(2);
      expect(stderr).toMatch(/could not run: this database has no Hedonify schema/);
      expect(existsSync(join(dataDir, 'postgres', 'PG_VERSION'))).toBe(true);
      expect(existsSync(join(dataDir, 'postgres', 'postmaster.pid'))).toBe(false);
    } finally {
      await rm(dataDir, { recursive: true, force: true });
    }
  });
});

async function waitForBlockedAudit(): Promise<void> {
  for (;;) {
    const blocked = await database.query(
      `SELECT 1 FROM pg_stat_activity
        WHERE application_name = 'hedonify-audit' AND wait_event_type = 'Lock'
          AND datname = current_database()`,
    );
    if (blocked.length > 0) return;
    await delay(10);
  }
}
