/**
 * `npm run audit`: proves on the configured database that every promise was kept, beside a running
 * server or alone. Imported by nobody.
 *
 * stdout has one line per violation and the summary, stderr the progress. Exit code 0 = every rule
 * holds, 1 = violations, 2 = the audit could not run and nothing is known.
 */
import { loadDatabaseConfig } from './config.ts';
import { runAudit, SHOWN_MAX } from './db/audit.ts';
import type { AuditReport, RuleReport, Violation } from './db/audit.ts';
import { connectClient } from './db/client.ts';
import { openDatabase } from './db/open-database.ts';
import { explain } from './explain.ts';

const HOLDS = 0;
const VIOLATED = 1;
const COULD_NOT_RUN = 2;

process.exitCode = await main();

async function main(): Promise<number> {
  try {
    const config = loadDatabaseConfig();
    const database = await openDatabase(config, progress);
    try {
      return report(await audit(database.databaseUrl));
    } finally {
      await database.release();
    }
  } catch (error) {
    progress(`could not run: ${explain(error)}`);
    return COULD_NOT_RUN;
  }
}

async function audit(databaseUrl: string): Promise<AuditReport> {
  const client = await connectClient({ databaseUrl, applicationName: 'hedonify-audit' });
  // Ending the client fails the query under way, so that the database is released all the same.
  const interrupt = (): void => void client.end();
  process.once('SIGINT', interrupt);
  process.once('SIGTERM', interrupt);
  try {
    return await runAudit(client, {
      onProgress: ({ number, count, rule }) =>
        progress(`[${number}/${count}] ${rule.name}: ${rule.holds}`),
    });
  } finally {
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', interrupt);
    await client.end();
  }
}

/** Prints what was found and returns the exit code. */
function report(found: AuditReport): number {
  for (const rule of found.rules) {
    for (const line of violationLines(rule)) {
      print(line);
    }
  }
  const broken = found.rules.filter((rule) => rule.violations > 0).length;
  print(
    `audit ${broken === 0 ? 'passed' : 'FAILED'}: ${found.rules.length} rules checked, ` +
      `${broken} broken, ${found.violations} violations; ${found.orders} orders, ` +
      `${found.lines} lines, ${found.products} products in ${(found.durationMs / 1000).toFixed(1)} s`,
  );
  return broken === 0 ? HOLDS : VIOLATED;
}

function violationLines({ rule, shown, violations }: RuleReport): string[] {
  const name = `violation ${rule.name} (${rule.invariants.join(', ')})`;
  const lines = shown.map((violation) => `${name}: ${fields(violation)}`);
  return violations > SHOWN_MAX ? [...lines, `${name}: and ${violations - SHOWN_MAX} more`] : lines;
}

function fields(violation: Violation): string {
  return Object.entries(violation)
    .map(([column, value]) => `${column}=${String(value)}`)
    .join(' ');
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function progress(message: string): void {
  process.stderr.write(`audit: ${message}\n`);
}
