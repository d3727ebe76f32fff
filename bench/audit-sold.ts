/** The end of every suite that sold something. */
import { runAudit } from '../src/db/audit.ts';
import { inDatabase } from './in-database.ts';
import type { BenchRun } from './suite.ts';

/**
 * Audits a database that was sold from.
 *
 * @returns how many orders it holds
 * @throws Error naming the rules that do not hold: the run is not to be reported
 */
export async function auditSold(
  run: Pick<BenchRun, 'say'>,
  sold: { readonly name: string; readonly databaseUrl: string },
): Promise<number> {
  const { databaseUrl, name } = sold;
  const audit = await inDatabase(databaseUrl, (client) =>
    runAudit(client, { onProgress: () => undefined }),
  );
  run.say(`audit of ${name}: ${audit.orders} orders, ${audit.violations} violations`);
  if (audit.violations === 0) return audit.orders;
  const broken = audit.rules.filter(({ violations }) => violations > 0);
  const names = broken.map(({ rule, violations }) => `${rule.name} (${violations})`);
  throw new Error(`the audit of ${name} failed: ${names.join(', ')}`);
}
