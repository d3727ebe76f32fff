/**
 * What a contender is: another way to sell the same products into the same tables, behind the same
 * HTTP edge. It honours the Idempotency-Key and refuses as the engine does; it sells one product an
 * order, and writes neither ledger nor outbox, which is work that only the engine is measured with.
 */
import type { OrderGateway } from '../../src/domain/ports.ts';

export interface ContenderOptions {
  readonly databaseUrl: string;
  /** Null = there is no Redis. */
  readonly redisUrl: string | null;
  /** PostgreSQL connections, opened before the first order. */
  readonly poolMax: number;
}

export interface OpenContender {
  /** Rejects where the engine would shed: nothing was decided. */
  readonly placeOrder: OrderGateway['placeOrder'];
  /** Orders that were answered and are not in PostgreSQL yet; not given = there are never any. */
  readonly unwritten?: () => number;
  /** Ends what is under way, writes what is not yet written and closes all connections. */
  readonly stop: () => Promise<void>;
}

export interface Contender {
  /** As in `bench/targets/contender.ts NAME`, and in the report. */
  readonly name: string;
  /**
   * - `locks`: one transaction an order; as good as the size of its pool lets it be.
   * - `batch`: one connection, many orders a transaction.
   * - `redis`: answers before anything is durable.
   */
  readonly kind: 'locks' | 'batch' | 'redis';
  /** What it does, for the report. */
  readonly summary: string;
  readonly open: (options: ContenderOptions) => Promise<OpenContender>;
}
