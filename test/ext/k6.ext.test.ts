/**
 * Every scenario of bench/k6, small: what was sold is counted and audited; how fast it went is not
 * looked at. A missing k6 is a failure: go install go.k6.io/k6@v1.8.1
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { SCENARIOS } from '../../bench/scenarios/catalogue.ts';
import { runScenario } from '../../bench/scenarios/run-scenario.ts';
import { createTestDatabase } from '../support/database.ts';
import { ServerProcess } from '../support/server.ts';

const BENCH = new URL('../../bench/', import.meta.url);

let workDir: string;

beforeAll(async () => {
  workDir = await mkdtemp(join(tmpdir(), 'hedonify-k6-'));
});

afterAll(async () => {
  await rm(workDir, { recursive: true, force: true });
});

it.each(SCENARIOS)(
  '$name: what customers were told is what is stored, and the audit is clean (I1, I3)',
  { timeout: 60_000 },
  async (scenario) => {
    const database = await createTestDatabase();
    const { seen, stored } = await runScenario(scenario, scenario.quick, {
      databaseUrl: database.url,
      workDir,
      judgesSpeed: false,
      start: async ({ env, preload = [] }) => {
        const server = await ServerProcess.start({
          databaseUrl: database.url,
          env,
          preload: preload.map((module) => new URL(module, BENCH).href),
        });
        return {
          url: server.url,
          stop: async () => expect(await server.stop()).toBe(0),
        };
      },
    });
    expect(seen.crossed).toEqual([]);
    expect(seen.unseen).toBe(0);
    expect(stored.orders).toBe(seen.accepted);
    await database.close();
  },
);
