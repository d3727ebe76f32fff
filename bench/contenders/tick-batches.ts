/**
 * The first Hedonify's idea rebuilt from its description: whatever came in during 300 ms is written
 * as one batch, without a bound on its size. What was wrong with it beside its speed is put right
 * (keys, stock read under a lock, a refusal for whoever finds nothing), so that it passes the same
 * audit.
 */
import type { Pool, PoolClient } from 'pg';
import { AppError } from '../../src/domain/errors.ts';
import type { OrderId, ProductId } from '../../src/domain/ids.ts';
import type { PlaceOrderOutcome } from '../../src/domain/outcome.ts';
import { accepted, askedOrder, boundTo, refused } from './asked-order.ts';
import type { AskedOrder } from './asked-order.ts';
import { inContenderTransaction, openContenderPool } from './contender-pool.ts';
import type { Contender } from './contender.ts';
import { insertAll } from './order-rows.ts';
import type { DecidedOrder } from './order-rows.ts';
import { PRODUCT_COLUMNS } from './order-sql.ts';
import type { ProductRow } from './order-sql.ts';

const TICK_MS = 300;
/** The original had none; no load of ours comes near it. */
const WAITING_MAX = 100_000;

const LOCK = /* sql */ `
  SELECT p.id, p.sequence, ${PRODUCT_COLUMNS} FROM products p
   WHERE p.id = ANY ($1::uuid[]) ORDER BY p.id FOR UPDATE`;
const BOUND = /* sql */ `SELECT id FROM orders WHERE id = ANY ($1::uuid[])`;

type LockedRow = ProductRow & { readonly id: ProductId; readonly sequence: number };

/** Null = the key is bound, look it up. */
type Decision = PlaceOrderOutcome | null;
interface Waiting {
  readonly asked: AskedOrder;
  readonly resolve: (decision: Decision) => void;
  readonly reject: (error: unknown) => void;
}

class Ticks {
  readonly #pool: Pool;
  readonly #timer = setInterval(() => void this.#tick(), TICK_MS);
  #waiting: Waiting[] = [];
  #writing: Promise<void> | null = null;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  async place(asked: AskedOrder): Promise<PlaceOrderOutcome> {
    if (this.#waiting.length >= WAITING_MAX) return { type: 'shed', code: 'overloaded' };
    const decision = await new Promise<Decision>((resolve, reject) => {
      this.#waiting.push({ asked, resolve, reject });
    });
    return decision ?? (await boundTo(this.#pool, asked)) ?? { type: 'key-reused' };
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#writing;
    await this.#tick();
    await this.#pool.end();
  }

  async #tick(): Promise<void> {
    if (this.#writing !== null || this.#waiting.length === 0) return;
    const batch = this.#waiting;
    this.#waiting = [];
    this.#writing = this.#write(batch);
    await this.#writing;
    this.#writing = null;
  }

  async #write(batch: readonly Waiting[]): Promise<void> {
    try {
      const decisions = await inContenderTransaction(
        this.#pool,
        (client) => decide(client, batch),
        () => true,
      );
      for (const [place, { resolve }] of batch.entries()) resolve(decisions[place] ?? null);
    } catch (cause) {
      for (const { reject } of batch) reject(new AppError('database-unavailable', { cause }));
    }
  }
}

async function decide(client: PoolClient, waiting: readonly Waiting[]): Promise<Decision[]> {
  const batch = waiting.map(({ asked }) => asked);
  const productIds = [...new Set(batch.map(({ line }) => line.productId))];
  const locked = await client.query<LockedRow>(LOCK, [productIds]);
  const products = new Map(locked.rows.map((row) => [row.id, row]));
  const ids = batch.map(({ id }) => id);
  const found = await client.query<{ readonly id: OrderId }>(BOUND, [ids]);
  const bound = new Set(found.rows.map(({ id }) => id));
  const sold: DecidedOrder[] = [];
  const decisions = batch.map((asked) => {
    if (bound.has(asked.id)) return null;
    const product = products.get(asked.line.productId);
    const stock = (product?.stock ?? 0) - asked.line.quantity;
    if (product?.status !== 'active' || stock < 0) return refused(asked, product);
    const next = { ...product, stock, sequence: product.sequence + 1 };
    products.set(product.id, next);
    bound.add(asked.id);
    const outcome = accepted(asked, next);
    sold.push({ asked, order: outcome.order });
    return outcome;
  });
  if (sold.length > 0) await client.query(insertAll(sold));
  return decisions;
}

export const tickBatches: Contender = {
  name: 'tick-batches',
  kind: 'batch',
  summary: 'the first Hedonify’s: every 300 ms whatever came in, as one unbounded batch',
  open: async (options) => {
    const ticks = new Ticks(await openContenderPool({ ...options, poolMax: 2 }));
    return { placeOrder: (request) => ticks.place(askedOrder(request)), stop: () => ticks.stop() };
  },
};
