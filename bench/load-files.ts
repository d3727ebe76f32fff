/** What load generators read: customers, and what they order. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BenchRun } from './suite.ts';
import { writeTokens } from './tokens.ts';

/** As everywhere, unless a suite is about their number. */
export const CUSTOMERS = 1000;

/** One token a line, each of another customer. */
export function tokensFile(run: BenchRun, customers = CUSTOMERS): string {
  const path = join(run.workDir, `tokens-${customers}`);
  writeTokens(path, customers);
  return path;
}

/** One JSON text a line, of one length. */
export function bodiesFile(run: BenchRun, name: string, bodies: readonly string[]): string {
  const path = join(run.workDir, `bodies-${name}`);
  writeFileSync(path, `${bodies.join('\n')}\n`);
  return path;
}

/** One unit of each. */
export function orderOf(products: readonly string[]): string {
  return JSON.stringify({ items: products.map((id) => ({ product_id: id, quantity: 1 })) });
}
