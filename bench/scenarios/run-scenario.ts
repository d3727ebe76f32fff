/**
 * One scenario from its seed to its audit. Owns the order of things: shop, server, k6, settle, stop,
 * audit, exact counts. Does not own how a database or a server is made: the benchmark and the tests
 * each have their own.
 *
 * A scenario that was answered wrongly, lost an order or fails the audit has no outcome, only an
 * error.
 */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { runAudit } from '../../src/db/audit.ts';
import { inDatabase } from '../in-database.ts';
import { BENCH_JWT_SECRET, writeTokens } from '../tokens.ts';
import { runK6 } from './k6-run.ts';
import type { Seen } from './k6-run.ts';
import { fatal, isWithin } from './scenario.ts';
import type { Ended, Fact, Ground, Load, Scenario } from './scenario.ts';
import { isUnsettled, readStored, seedShop, warmUpProduct } from './shop-rows.ts';
import type { StoredRows } from './shop-rows.ts';

const SETTLE_MS_MAX = 30_000;
const SETTLE_POLL_MS = 100;

export interface ScenarioServer {
  readonly url: string;
  stop(): Promise<unknown>;
}

export interface Stage {
  /** With the schema and nothing else. */
  readonly databaseUrl: string;
  /** For tokens and summaries. */
  readonly workDir: string;
  readonly judgesSpeed: boolean;
  start(ground: Pick<Ground, 'env' | 'preload'>): Promise<ScenarioServer>;
  /** Before the load, on a product that no count of the scenario includes. */
  warmUp?(server: {
    readonly url: string;
    readonly tokensFile: string;
    readonly productId: string;
  }): Promise<void>;
}

export interface Outcome {
  readonly seen: Seen;
  readonly stored: StoredRows;
  /** Rules of the audit that hold: all of them. */
  readonly auditedRules: number;
}

/** @throws Error that names everything that is not as it must be */
export async function runScenario(scenario: Scenario, load: Load, stage: Stage): Promise<Outcome> {
  const ground = scenario.ground(load);
  const { databaseUrl, workDir } = stage;
  await inDatabase(databaseUrl, (client) => seedShop(client, ground));
  const tokensFile = join(workDir, `${scenario.name}.tokens`);
  writeTokens(tokensFile, ground.customers);
  const server = await stage.start({
    ...ground,
    env: { ...ground.env, DATABASE_URL: databaseUrl, JWT_SECRET: BENCH_JWT_SECRET },
  });
  let seen: Seen;
  try {
    await stage.warmUp?.({ url: server.url, tokensFile, productId: warmUpProduct(ground) });
    seen = await runK6({
      script: scenario.name,
      serverUrl: server.url,
      tokensFile,
      summaryFile: join(workDir, `${scenario.name}.summary.json`),
      ...load,
      products: ground.products,
      judgesSpeed: stage.judgesSpeed,
    });
    await inDatabase(databaseUrl, async (client) => {
      const deadline = performance.now() + SETTLE_MS_MAX;
      while (await isUnsettled(client)) {
        if (performance.now() > deadline) throw new Error(`${scenario.name} does not settle`);
        await delay(SETTLE_POLL_MS);
      }
    });
  } finally {
    await server.stop();
  }
  return await inDatabase(databaseUrl, async (client) => {
    const stored = await readStored(client, ground);
    const ended = { load, ground, seen, stored };
    const wrong = [
      ...generalFacts(scenario, ended),
      ...strictFacts(seen, stage.judgesSpeed),
      ...scenario.facts(ended),
    ]
      .filter(([, holds]) => !holds)
      .map(([what]) => what);
    const audit = await runAudit(client, { onProgress: () => undefined });
    const broken = audit.rules.filter(({ violations }) => violations > 0);
    wrong.push(...broken.map(({ rule }) => `the audit: ${rule.name}`));
    if (wrong.length > 0) throw new Error(`${scenario.name} is wrong:\n${wrong.join('\n')}`);
    return { seen, stored, auditedRules: audit.rules.length };
  });
}

function generalFacts(scenario: Scenario, { load, seen, stored }: Ended): readonly Fact[] {
  const { begun, accepted, unseen, unexpected } = seen;
  const due = scenario.due(load);
  return [
    [`this machine is too slow or too busy: k6 began ${begun} of ${due}`, begun > due / 2],
    ['somebody is accepted', accepted > 0],
    [`no answer is unexpected, not ${unexpected}`, unexpected === 0],
    [
      `accepted orders are stored orders: ${accepted} (${unseen} unknown), ${stored.orders}`,
      isWithin(stored.orders, { least: accepted, unseen }),
    ],
  ];
}

/** Of a benchmark the unknown are reported: a load may bring its server to a standstill. */
function strictFacts(seen: Seen, judgesSpeed: boolean): readonly Fact[] {
  const crossed = fatal(seen.crossed, judgesSpeed);
  return [
    [`no threshold of correctness is crossed: ${crossed.join('; ')}`, crossed.length === 0],
    [`everybody is told what became of it, but ${seen.unseen}`, judgesSpeed || seen.unseen === 0],
  ];
}
