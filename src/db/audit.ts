/**
 * Proves from PostgreSQL alone that the promises were kept. Owns the snapshot and the counting; the
 * rules are in audit-*-rules.ts, the command line in src/audit.ts.
 *
 * Works beside a running server: every rule sees the one snapshot of a REPEATABLE READ READ ONLY
 * transaction, which takes no lock that an order waits for. Each batch commits all of its rows at
 * once, so every rule holds in every snapshot, whatever the server is doing.
 *
 * Indexes are not used to read: a damaged one would hide exactly the rows that the audit is for,
 * and whole tables are read faster by scan and hash join anyway.
 *
 * Invariant: the audit writes nothing, and memory is bounded (I9): SHOWN_MAX violations of a rule are
 * fetched, the others only counted.
 */
import type { ClientBase } from 'pg';
import { ORDER_RULES } from './audit-order-rules.ts';
import { OUTBOX_RULES } from './audit-outbox-rules.ts';
import { OWNERSHIP_RULES } from './audit-ownership-rules.ts';
import { PAYMENT_RULES } from './audit-payment-rules.ts';
import type { AuditRule } from './audit-rule.ts';
import { SHOP_RULES } from './audit-shop-rules.ts';
import { STATUS_RULES } from './audit-status-rules.ts';
import { STOCK_RULES } from './audit-stock-rules.ts';

export const AUDIT_RULES: readonly AuditRule[] = [
  ...STOCK_RULES,
  ...ORDER_RULES,
  ...STATUS_RULES,
  ...PAYMENT_RULES,
  ...SHOP_RULES,
  ...OUTBOX_RULES,
  ...OWNERSHIP_RULES,
];

/** Violations of one rule that are fetched and printed; the rest is a number. */
export const SHOWN_MAX = 100;

/** Ids and figures of one violation by column name, in the order of the rule's SELECT. */
export type Violation = Readonly<Record<string, string | number | boolean | null>>;

export interface RuleReport {
  readonly rule: AuditRule;
  /** All violations; `shown` has the first SHOWN_MAX of them. */
  readonly violations: number;
  readonly shown: readonly Violation[];
}

export interface AuditReport {
  /** One per rule, also of those that hold. */
  readonly rules: readonly RuleReport[];
  readonly violations: number;
  readonly orders: number;
  readonly lines: number;
  readonly products: number;
  readonly durationMs: number;
}

export interface AuditProgress {
  readonly rule: AuditRule;
  /** 1 to `count`; reported when the rule is about to be checked. */
  readonly number: number;
  readonly count: number;
}

/** The audit could not run: nothing is known about the rules. */
export class AuditError extends Error {
  override readonly name = 'AuditError';
}

const BEGIN = /* sql */ `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY`;

// Hash tables of a million orders stay in memory; two workers may help each scan. Compiling would
// cost more than it saves, and a rule may run for as long as it takes.
const SETTINGS = /* sql */ `
  SELECT set_config('work_mem', '128MB', true),
         set_config('jit', 'off', true),
         set_config('statement_timeout', '0', true),
         set_config('idle_in_transaction_session_timeout', '0', true),
         set_config('enable_indexscan', 'off', true),
         set_config('enable_indexonlyscan', 'off', true),
         set_config('enable_bitmapscan', 'off', true),
         set_config('enable_nestloop', 'off', true)`;

const MISSING_TABLES = /* sql */ `
  SELECT wanted.name
    FROM unnest(ARRAY['users', 'products', 'owners', 'partitions', 'commit_batches', 'orders',
                      'order_items', 'order_events', 'keyed_effects', 'stock_ledger',
                      'expiry_watermarks', 'engine_settings', 'customer_units', 'product_edits',
                      'carts', 'cart_items', 'payments']) AS wanted (name)
   WHERE to_regclass(wanted.name) IS NULL`;

const TOTALS = /* sql */ `
  SELECT (SELECT count(*) FROM orders)::float8 AS orders,
         (SELECT count(*) FROM order_items)::float8 AS lines,
         (SELECT count(*) FROM products)::float8 AS products`;

interface Totals {
  readonly orders: number;
  readonly lines: number;
  readonly products: number;
}

/**
 * Checks every rule in one snapshot. The client must be connected and outside a transaction; it is
 * left so. Throws AuditError when there is no schema, and what PostgreSQL reports otherwise.
 */
export async function runAudit(
  client: ClientBase,
  options: { readonly onProgress: (progress: AuditProgress) => void },
): Promise<AuditReport> {
  const startedAt = performance.now();
  await client.query(BEGIN);
  try {
    await client.query(SETTINGS);
    await assertSchema(client);
    const totals = await client.query<Totals>(TOTALS);
    const rules: RuleReport[] = [];
    for (const [index, rule] of AUDIT_RULES.entries()) {
      options.onProgress({ rule, number: index + 1, count: AUDIT_RULES.length });
      rules.push(await checkRule(client, rule));
    }
    return {
      rules,
      violations: rules.reduce((sum, report) => sum + report.violations, 0),
      ...(totals.rows[0] ?? { orders: 0, lines: 0, products: 0 }),
      durationMs: performance.now() - startedAt,
    };
  } finally {
    // Nothing was written. If the connection is gone, so is the transaction, and the error that is
    // on its way says more than the one of this ROLLBACK.
    await client.query('ROLLBACK').catch(() => undefined);
  }
}

async function assertSchema(client: ClientBase): Promise<void> {
  const missing = await client.query<{ readonly name: string }>(MISSING_TABLES);
  if (missing.rows.length > 0) {
    const names = missing.rows.map((row) => row.name).join(', ');
    throw new AuditError(
      `this database has no Hedonify schema (missing: ${names}); npm start creates it`,
    );
  }
}

async function checkRule(client: ClientBase, rule: AuditRule): Promise<RuleReport> {
  const found = await client
    .query<{ readonly violation: Violation; readonly total: number }>(bounded(rule.sql))
    .catch((error: unknown) => {
      throw new Error(`rule ${rule.name} could not be checked`, { cause: error });
    });
  return {
    rule,
    violations: found.rows[0]?.total ?? 0,
    shown: found.rows.map((row) => row.violation),
  };
}

/** Counts all violations but hands out only the first ones, as JSON so that columns keep their order. */
function bounded(sql: string): string {
  return /* sql */ `
    SELECT row_to_json(violation) AS violation, (count(*) OVER ())::float8 AS total
      FROM (${sql}) AS violation
     LIMIT ${SHOWN_MAX}`;
}
