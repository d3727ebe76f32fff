/**
 * One embedded PostgreSQL for a whole test run, with a template database that has the schema.
 *
 * vitest runs this file once per project that names it, all in its main process: they meet in the
 * directory named after that process, and the cluster goes with the last of them. A directory
 * whose process is dead was left by a run that was killed, and is cleared away.
 */
import { existsSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { TestProject } from 'vitest/node';
import { acquireEmbeddedPostgres } from '../../src/db/embedded-postgres.ts';
import { applySchema } from '../../src/db/schema.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Of a database that always exists, as a superuser. */
    postgresRootUrl: string;
  }
}

export const TEMPLATE_DATABASE = 'template_hedonify';
const PREFIX = 'hedonify-test-';

function quiet(): void {
  // A test run has its own output.
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

async function removeAbandoned(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const pid = Number(name.slice(PREFIX.length));
    if (!name.startsWith(PREFIX) || !Number.isInteger(pid) || isAlive(pid)) continue;
    const dataDir = join(tmpdir(), name);
    // Adopts the server that still runs, or starts it, only to stop it in order.
    await acquireEmbeddedPostgres({ dataDir, onProgress: quiet })
      .then((abandoned) => abandoned.release())
      .catch(() => undefined);
    await rm(dataDir, { recursive: true, force: true });
  }
}

async function withClient<T>(url: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}

async function createTemplate(rootUrl: string): Promise<void> {
  await withClient(rootUrl, async (client) => {
    const found = await client.query('SELECT FROM pg_database WHERE datname = $1', [
      TEMPLATE_DATABASE,
    ]);
    if (found.rowCount === 0) await client.query(`CREATE DATABASE ${TEMPLATE_DATABASE}`);
  });
  const url = new URL(rootUrl);
  url.pathname = `/${TEMPLATE_DATABASE}`;
  await withClient(url.href, applySchema);
}

/** vitest's hook: runs before the first file; what it returns runs after the last. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  await removeAbandoned();
  const dataDir = join(tmpdir(), `${PREFIX}${process.pid}`);
  const postgres = await acquireEmbeddedPostgres({ dataDir, onProgress: quiet });
  await createTemplate(postgres.databaseUrl);
  project.provide('postgresRootUrl', postgres.databaseUrl);
  return async () => {
    await postgres.release();
    // Still there = another project of this run has not released it yet.
    const inUse = existsSync(join(dataDir, 'postgres', 'postmaster.pid'));
    if (!inUse) await rm(dataDir, { recursive: true, force: true });
  };
}
