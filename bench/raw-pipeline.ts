/**
 * The ceiling: COPY + merge + COMMIT of prepared batches in a closed loop, nothing decided, nobody
 * answered. Ids are random (UUIDv4), as the headline's keys are.
 */
import { randomUUID } from 'node:crypto';
import { writeBatch } from '../src/db/batch-writer.ts';
import { withClient } from '../src/db/client.ts';
import { openCommitSession } from '../src/db/commit-session.ts';
import { takeOver } from '../src/db/ownership.ts';
import type { Batch } from '../src/domain/batch.ts';
import type { OrderId, OwnerId, UserId } from '../src/domain/ids.ts';
import { partitionOf } from '../src/domain/ids.ts';
import { HOT_PRODUCT } from './bench-database.ts';

const CUSTOMERS = 1000;
const HASH = '00112233445566778899aabbccddeeff';
const HOLD_MS = 900_000;
const STATEMENT_TIMEOUT_MS = 30_000;

export interface RawShape {
  readonly connections: number;
  readonly batchOrders: number;
}

export class RawPipeline {
  readonly #databaseUrl: string;
  readonly #customers = Array.from({ length: CUSTOMERS }, () => randomUUID() as UserId);
  readonly #owner: OwnerId;
  #lastNo = 0;
  #sequence = 0;

  private constructor(databaseUrl: string, owner: OwnerId) {
    this.#databaseUrl = databaseUrl;
    this.#owner = owner;
  }

  static async open(databaseUrl: string): Promise<RawPipeline> {
    const connection = { databaseUrl, applicationName: 'hedonify-bench-raw' };
    const { owners } = await withClient(connection, (client) =>
      takeOver(client, { node: 'raw pipeline', shards: 1, holdTtlMs: 900_000 }),
    );
    const [owner] = owners;
    if (owner === undefined) throw new Error('the raw pipeline owns nothing');
    return new RawPipeline(databaseUrl, owner);
  }

  /** Orders per second. Batches are made before the clock starts and encoded while it runs. */
  async measure(shape: RawShape, seconds: number): Promise<number> {
    const sessions = await Promise.all(
      Array.from({ length: shape.connections }, () =>
        openCommitSession({
          databaseUrl: this.#databaseUrl,
          applicationName: 'hedonify-bench-raw',
          statementTimeoutMs: STATEMENT_TIMEOUT_MS,
        }),
      ),
    );
    const ordersMax = 100_000 * seconds;
    const batches = Array.from({ length: Math.ceil(ordersMax / shape.batchOrders) }, () =>
      this.#batch(shape.batchOrders),
    );
    const started = performance.now();
    const deadline = started + seconds * 1000;
    let committed = 0;
    await Promise.all(
      sessions.map(async (session) => {
        while (performance.now() < deadline) {
          const batch = batches.pop();
          if (batch === undefined) throw new Error('too few batches were prepared');
          await writeBatch(session, batch);
          committed += shape.batchOrders;
        }
      }),
    );
    const elapsed = (performance.now() - started) / 1000;
    await Promise.all(sessions.map((session) => session.end()));
    return committed / elapsed;
  }

  #batch(size: number): Batch {
    this.#lastNo += 1;
    const createdAt = Date.now();
    return {
      ownerId: this.#owner,
      no: this.#lastNo,
      openedAt: createdAt,
      owners: [this.#owner],
      stockChanges: [],
      statusChanges: [],
      edits: [],
      orders: Array.from({ length: size }, (_, i) => {
        this.#sequence += 1;
        const line = { name: 'Hot product', unitPrice: 1999, sequence: this.#sequence };
        return {
          command: {
            kind: 'place' as const,
            n: 0,
            id: randomUUID() as OrderId,
            requestHash: HASH,
            keyed: true,
            receivedAt: createdAt,
            traceparent: null,
            userId: this.#customers[i % CUSTOMERS] ?? ('' as UserId),
            lines: [{ productId: HOT_PRODUCT, quantity: 1 }],
            otherShards: null,
            reference: null,
            metadata: null,
            cart: null,
          },
          homePartition: partitionOf(HOT_PRODUCT),
          total: 1999,
          limited: false,
          order: { currency: 'USD', createdAt, expiresAt: createdAt + HOLD_MS, lines: [line] },
        };
      }),
    };
  }
}
