/** Batches as a shard would hand them to the commit loop, without a shard. */
import { randomBytes, randomUUID } from 'node:crypto';
import pg from 'pg';
import type { Batch, DecidedOrder, StatusChange } from '../../src/domain/batch.ts';
import { withClient } from '../../src/db/client.ts';
import { openCommitSession } from '../../src/db/commit-session.ts';
import { takeOver } from '../../src/db/ownership.ts';
import type { Takeover } from '../../src/db/ownership.ts';
import { parseOrderId, parseProductId, parseUserId, partitionOf } from '../../src/domain/ids.ts';
import type { OrderId, OwnerId, ProductId, UserId } from '../../src/domain/ids.ts';
import type { OrderStatus, StatusDetail } from '../../src/domain/order.ts';
import type { ProductChanges } from '../../src/domain/product.ts';
import type {
  ChangeStockCommand,
  EditProductCommand,
  PlaceCommand,
} from '../../src/domain/wire.ts';
import type { TestDatabase } from '../support/database.ts';
import { MERCHANT_ID } from '../support/shop.ts';

export const UNIT_PRICE = 1999;
const STATEMENT_TIMEOUT_MS = 10_000;
/** Orders of the builder expire after it. */
const HOLD_TTL_MS = 900_000;

function found<T>(id: T | undefined): T {
  if (id === undefined) throw new Error('not an id');
  return id;
}

export function productOf(id: string): ProductId {
  return found(parseProductId(id));
}

export function newOrderId(): OrderId {
  return found(parseOrderId(randomUUID()));
}

export function userOf(id: string): UserId {
  return found(parseUserId(id));
}

function randomHash(): string {
  return randomBytes(16).toString('hex');
}

/** One line: product, units and, where it matters, the name as it was decided. */
type Line = readonly [productId: string, quantity: number, name?: string];

interface OrderOptions {
  readonly id?: OrderId;
  readonly requestHash?: string;
  readonly lines: readonly Line[];
  readonly reference?: string | null;
  readonly metadata?: Readonly<Record<string, string>> | null;
  /** Milliseconds since the epoch. */
  readonly createdAt?: number;
  readonly userId?: UserId;
  readonly cart?: PlaceCommand['cart'];
}

interface ChangeOptions {
  readonly id?: string;
  readonly requestHash?: string;
  readonly productId: string;
  readonly delta: number;
  readonly reason?: string;
  readonly keyed?: boolean;
}

interface StatusOptions {
  readonly orderId: OrderId;
  readonly from?: readonly OrderStatus[];
  readonly to: OrderStatus;
  readonly reason?: string | null;
  readonly author?: string | null;
  readonly at?: number;
  readonly detail?: StatusDetail;
  /** Id of the effect; null = without a key. */
  readonly key?: string | null;
}

interface EditOptions {
  readonly productId: string;
  readonly changes: ProductChanges;
  readonly reason?: string | null;
  readonly at?: number;
}

/** Names batches of one owner and numbers the lines of its products. */
export class BatchBuilder {
  readonly ownerId: OwnerId;
  readonly #sequences: Map<string, number>;
  #lastNo = 0;

  /** Builders that sell the same products share `sequences`. */
  constructor(ownerId: OwnerId, sequences = new Map<string, number>()) {
    this.ownerId = ownerId;
    this.#sequences = sequences;
  }

  order(options: OrderOptions): DecidedOrder {
    const { metadata = null, reference = null, createdAt = Date.now() } = options;
    const sorted = options.lines.toSorted(([a], [b]) => (a < b ? -1 : 1));
    const lines = sorted.map(([id, quantity]) => ({ productId: productOf(id), quantity }));
    const accepted = sorted.map(([id, , name = 'Product']) => {
      const sequence = (this.#sequences.get(id) ?? 0) + 1;
      this.#sequences.set(id, sequence);
      return { name, unitPrice: UNIT_PRICE, sequence };
    });
    const partitions = lines.map(({ productId }) => partitionOf(productId));
    const homePartition = partitions.toSorted((a, b) => a - b)[0];
    return {
      command: {
        kind: 'place',
        n: 0,
        id: options.id ?? newOrderId(),
        requestHash: options.requestHash ?? randomHash(),
        keyed: true,
        receivedAt: createdAt,
        traceparent: null,
        userId: options.userId ?? userOf(randomUUID()),
        lines,
        otherShards: null,
        reference,
        metadata: metadata === null ? null : JSON.stringify(metadata),
        cart: options.cart ?? null,
      },
      homePartition: found(homePartition),
      total: lines.reduce((sum, { quantity }) => sum + quantity * UNIT_PRICE, 0),
      // The merge looks for itself; what a shard says only spares it the look.
      limited: true,
      order: { currency: 'USD', createdAt, expiresAt: createdAt + HOLD_TTL_MS, lines: accepted },
    };
  }

  change(options: ChangeOptions): ChangeStockCommand {
    return {
      kind: 'change-stock',
      n: 0,
      id: options.id ?? randomUUID(),
      requestHash: options.requestHash ?? randomHash(),
      keyed: options.keyed ?? true,
      receivedAt: Date.now(),
      traceparent: null,
      productId: productOf(options.productId),
      delta: options.delta,
      reason: options.reason ?? 'delivery',
      author: userOf(MERCHANT_ID),
    };
  }

  /** Of an unpaid order unless `from` says otherwise; by the service itself unless it has a key. */
  status(options: StatusOptions): StatusChange {
    const { key = null, author = key === null ? null : MERCHANT_ID } = options;
    return {
      orderId: options.orderId,
      from: options.from ?? ['WAITING_PAYMENT'],
      to: options.to,
      detail: options.detail ?? null,
      reason: options.reason ?? null,
      author: author === null ? null : userOf(author),
      at: options.at ?? Date.now(),
      key: key === null ? null : { id: key, requestHash: randomHash() },
    };
  }

  edit(options: EditOptions): EditProductCommand {
    return {
      kind: 'edit-product',
      n: 0,
      id: randomUUID(),
      requestHash: randomHash(),
      keyed: false,
      receivedAt: options.at ?? Date.now(),
      traceparent: null,
      productId: productOf(options.productId),
      ifVersion: null,
      changes: options.changes,
      reason: options.reason ?? null,
      author: userOf(MERCHANT_ID),
    };
  }

  batch(
    content: Partial<Pick<Batch, 'orders' | 'stockChanges' | 'statusChanges' | 'edits' | 'owners'>>,
  ): Batch {
    this.#lastNo += 1;
    const { ownerId } = this;
    return {
      ownerId,
      no: this.#lastNo,
      openedAt: Date.now(),
      owners: [ownerId],
      orders: [],
      stockChanges: [],
      statusChanges: [],
      edits: [],
      ...content,
    };
  }
}

/** Takes all partitions over. */
export async function claim(database: TestDatabase, node: string, shards = 1): Promise<Takeover> {
  const connection = { databaseUrl: database.url, applicationName: `takeover-${node}` };
  return withClient(connection, (client) =>
    takeOver(client, { node, shards, holdTtlMs: HOLD_TTL_MS }),
  );
}

/** A commit session that may be killed; `applicationName` finds it in pg_stat_activity. */
export async function openSession(
  database: TestDatabase,
  applicationName = 'commit',
): Promise<pg.Client> {
  const client = await openCommitSession({
    databaseUrl: database.url,
    applicationName,
    statementTimeoutMs: STATEMENT_TIMEOUT_MS,
  });
  client.on('error', () => undefined);
  return client;
}

/** A plain session, for holding locks. */
export async function openPlain(database: TestDatabase): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: database.url, application_name: 'blocker' });
  await client.connect();
  return client;
}

/** How many backends of that name wait for a lock. */
export async function waitingForLock(
  database: TestDatabase,
  applicationName: string,
): Promise<number> {
  const rows = await database.query<{ n: number }>(
    /* sql */ `SELECT count(*)::integer AS n FROM pg_stat_activity
                WHERE datname = current_database() AND application_name = $1
                  AND wait_event_type = 'Lock'`,
    [applicationName],
  );
  return rows[0]?.n ?? 0;
}

/** Everything a batch can leave behind. */
export async function countRows(database: TestDatabase): Promise<Record<string, number>> {
  const rows = await database.query<Record<string, number>>(/* sql */ `
    SELECT (SELECT count(*) FROM commit_batches)::integer AS batches,
           (SELECT count(*) FROM orders)::integer AS orders,
           (SELECT count(*) FROM order_items)::integer AS lines,
           (SELECT count(*) FROM order_events)::integer AS events,
           (SELECT count(*) FROM keyed_effects)::integer AS effects,
           (SELECT count(*) FROM stock_ledger)::integer AS ledger,
           (SELECT sum(stock) FROM products)::integer AS stock`);
  return rows[0] ?? {};
}

export async function stockOf(database: TestDatabase, productId: string): Promise<number> {
  const rows = await database.query<{ stock: number }>(
    'SELECT stock::integer FROM products WHERE id = $1',
    [productId],
  );
  return rows[0]?.stock ?? -1;
}
