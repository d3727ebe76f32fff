/**
 * A shard's way to PostgreSQL: one session per commit in flight, and one for what it reads. A
 * session that is lost is opened anew when it is next needed, so PostgreSQL may go and come back;
 * what was under way on the session fails, and nothing else does.
 *
 * Does not own: what to do about a batch that failed, and when to ask again. Whoever asks again at
 * once is paced here.
 *
 * I2: a COMMIT is acknowledged only by a server that proved to be durable (commit-sessions.ts).
 * I8: a batch that failed is aborted, or it is unknown until its name is settled (batch-claim.ts).
 * I9: every answer comes in bounded time. A connection that is silent for too long is destroyed, and
 *     work without a session waits about a second for one.
 */
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import type { Batch, ExpiringOrder, StoredEffect } from '../domain/batch.ts';
import type { OwnerId, PartitionId, ProductId } from '../domain/ids.ts';
import type { ProductState } from '../domain/product.ts';
import { claimBatch } from './batch-claim.ts';
import type { Backend, BatchName, CommitEnd } from './batch-claim.ts';
import { batchFailure } from './batch-failure.ts';
import { NotCommittedError, writeTimedBatch } from './batch-writer.ts';
import { openShardSession } from './commit-session.ts';
import type { CommitSessionOptions } from './commit-session.ts';
import { CommitSessions } from './commit-sessions.ts';
import type { CommitSession } from './commit-sessions.ts';
import { Connections } from './connections.ts';
import { isPassing } from './db-error.ts';
import { findFence } from './ownership.ts';
import {
  findEffects,
  findFreedBy,
  moveWatermark,
  readExpiring,
  readNewestOrders,
  readProducts,
} from './shard-reader.ts';
import type { Watermark } from './shard-reader.ts';
import { cutClient, endClient, withinTime } from './silence.ts';

/** For a session to be opened: at the start, and when it is needed. */
const START_MS_MAX = 10_000;
const OPEN_MS_MAX = 1000;
/** Before whoever could not be served asks again. */
const PAUSE_MS = 50;
/** For a read that no customer waits for. */
const LONG_READ_MS_MAX = 120_000;

export interface ShardDatabaseOptions extends CommitSessionOptions {
  readonly commitsInFlightMax: number;
  /** Milliseconds after which a statement that is still unanswered never will be. */
  readonly silenceMsMax: number;
  /** PostgreSQL contradicts a batch: a defect of ours, or rows that somebody else changed. */
  readonly onRejected?: (denial: Denial) => void;
  /** PostgreSQL could not take a batch, and may take it later: no room, a deadlock, a timeout. */
  readonly onPassing?: (denial: Denial) => void;
}

/** Without the row itself, which may hold personal data. */
export interface Denial {
  /** SQLSTATE. */
  readonly code: string | undefined;
  readonly message: string;
  readonly table: string | undefined;
  readonly constraint: string | undefined;
  /** The product or order to blame, where PostgreSQL names one. */
  readonly id: string | null;
}

export class ShardDatabase {
  readonly #options: ShardDatabaseOptions;
  readonly #connections = new Connections();
  readonly #sessions: CommitSessions;
  /** Who may still be at work on a batch whose answer was lost, until the batch is settled. */
  readonly #lost = new Map<string, Backend>();
  #inFlight = 0;
  #reader: pg.Client | null = null;
  #lastRead: Promise<unknown> = Promise.resolve();

  private constructor(options: ShardDatabaseOptions) {
    this.#options = options;
    this.#sessions = new CommitSessions(this.#connections, options);
  }

  /** With all its sessions. Rejects when one cannot be had: a start must fail loudly. */
  static async open(options: ShardDatabaseOptions): Promise<ShardDatabase> {
    const database = new ShardDatabase(options);
    try {
      await Promise.all([
        database.#open(START_MS_MAX).then((client) => (database.#reader = client)),
        ...Array.from({ length: options.commitsInFlightMax }, () =>
          database.#sessions.open(START_MS_MAX),
        ),
      ]);
      return database;
    } catch (error) {
      await database.close();
      throw error;
    }
  }

  /**
   * Without a session nothing is sent, so the batch is aborted. Rejects only for a defect, or when
   * the server is not durable any more. At most `commitsInFlightMax` at once.
   */
  async commit(batch: Batch): Promise<CommitEnd> {
    if (this.#inFlight >= this.#options.commitsInFlightMax) {
      throw new Error('more batches in flight than sessions');
    }
    this.#inFlight += 1;
    try {
      const taken = this.#sessions.take();
      const session = taken instanceof Promise ? await taken : taken;
      if (session === null) return { type: 'aborted', cause: { type: 'passing' } };
      return await this.#send(session, batch);
    } finally {
      this.#inFlight -= 1;
    }
  }

  /**
   * How a batch ended whose commit was `unknown`; `unknown` again when that cannot be found out now,
   * so ask again at once. Rejects only for a defect.
   */
  async resolve(name: BatchName): Promise<CommitEnd> {
    const key = keyOf(name);
    const lost = this.#lost.get(key);
    try {
      const end = await this.#onOwnSession(this.#options.silenceMsMax, (client) =>
        claimBatch(client, name, lost),
      );
      if (end.type !== 'unknown') this.#lost.delete(key);
      return end;
    } catch (error) {
      if (!isPassing(error)) throw error;
      await delay(PAUSE_MS);
      return { type: 'unknown' };
    }
  }

  /** Like every read it rejects when it failed; `isPassing` tells whether to try again. */
  products(ids: readonly ProductId[]): Promise<ProductState[]> {
    return this.#read((client) => readProducts(client, ids));
  }

  effects(ids: readonly string[]): Promise<StoredEffect[]> {
    return this.#read((client) => findEffects(client, ids));
  }

  /** Null while the owner is not fenced, else who fenced it. */
  fence(owner: OwnerId): Promise<string | null> {
    return this.#read((client) => findFence(client, owner));
  }

  /** Products of which the last batches of this owner freed units. */
  freedBy(owner: OwnerId): Promise<ProductId[]> {
    return this.#readLong((client) => findFreedBy(client, owner));
  }

  /** No unpaid order of these partitions expired until then (milliseconds since the epoch). */
  moveWatermark(watermark: Watermark): Promise<void> {
    return this.#read((client) => moveWatermark(client, watermark));
  }

  /** Takes as long as it takes; see `readExpiring`. */
  expiring(query: {
    readonly partitions: readonly PartitionId[];
    readonly after: number | null;
    readonly max: number;
  }): Promise<{ readonly orders: readonly ExpiringOrder[]; readonly complete: boolean }> {
    return this.#readLong((client) => readExpiring(client, query));
  }

  /** Takes as long as it takes; see `readNewestOrders`. */
  newestOrders(query: Parameters<typeof readNewestOrders>[1]): ReturnType<typeof readNewestOrders> {
    return this.#readLong((client) => readNewestOrders(client, query));
  }

  /** Fails what is under way. Never rejects nor hangs. */
  close(): Promise<void> {
    return this.#connections.close();
  }

  async #send(session: CommitSession, batch: Batch): Promise<CommitEnd> {
    const { client, backend } = session;
    try {
      const written = await this.#heard(client, () => writeTimedBatch(client, batch));
      this.#sessions.giveBack(session);
      return { type: 'committed', ...written };
    } catch (error) {
      if (!isOfDatabase(error)) {
        cutClient(client);
        throw error;
      }
      const cause = batchFailure(error, batch);
      if (cause === 'unknown') {
        cutClient(client);
        this.#lost.set(keyOf(batch), backend);
        return { type: 'unknown' };
      }
      if (cause.type === 'rejected') this.#options.onRejected?.(denialOf(error, cause.id));
      if (cause.type === 'passing') this.#options.onPassing?.(denialOf(error, null));
      await this.#rollBack(session);
      return { type: 'aborted', cause };
    }
  }

  /**
   * An error leaves the session in step: the server skipped the rest of the message, drops the COPY
   * data that it did not come to, and waits inside of the failed transaction.
   */
  async #rollBack(session: CommitSession): Promise<void> {
    try {
      await this.#heard(session.client, () => session.client.query('ROLLBACK'));
      this.#sessions.giveBack(session);
    } catch {
      // The transaction ends with its session.
      cutClient(session.client);
    }
  }

  /** Reads take turns on their session, since pg deprecates queries queued on a busy client. */
  #read<T>(query: (client: pg.Client) => Promise<T>): Promise<T> {
    const result = this.#lastRead.then(async () => {
      if (this.#reader === null || !this.#connections.has(this.#reader)) {
        this.#reader = await this.#open(OPEN_MS_MAX);
      }
      const client = this.#reader;
      try {
        return await this.#heard(client, () => query(client));
      } catch (error) {
        // Most errors leave the session intact; which ones is not worth knowing.
        cutClient(client);
        this.#reader = null;
        throw error;
      }
    });
    this.#lastRead = result.catch(() => undefined);
    return result;
  }

  /** On a session of its own: what lasts would hold up the proofs that this owner is not fenced. */
  #readLong<T>(query: (client: pg.Client) => Promise<T>): Promise<T> {
    return this.#onOwnSession(LONG_READ_MS_MAX, async (client) => {
      await client.query('SET statement_timeout = 0; SET lock_timeout = 0');
      return query(client);
    });
  }

  async #onOwnSession<T>(msMax: number, work: (client: pg.Client) => Promise<T>): Promise<T> {
    const client = await this.#open(OPEN_MS_MAX);
    try {
      return await withinTime(client, msMax, () => work(client));
    } finally {
      await endClient(client);
    }
  }

  /** Without a staging table: one that is never renewed would hold transaction ids back. */
  async #open(msMax: number): Promise<pg.Client> {
    try {
      const opening = openShardSession({ ...this.#options, openMsMax: msMax });
      return await this.#connections.add(opening);
    } catch (error) {
      await delay(PAUSE_MS);
      throw error;
    }
  }

  #heard<T>(client: pg.Client, work: () => Promise<T>): Promise<T> {
    return withinTime(client, this.#options.silenceMsMax, work);
  }
}

function keyOf({ ownerId, no }: BatchName): string {
  return `${ownerId}/${no}`;
}

/** Not a defect of ours: PostgreSQL or the way to it failed the batch. */
function isOfDatabase(error: unknown): boolean {
  return (
    error instanceof pg.DatabaseError || error instanceof NotCommittedError || isPassing(error)
  );
}

function denialOf(error: unknown, id: string | null): Denial {
  const { code, message, table, constraint }: Partial<pg.DatabaseError> =
    error instanceof pg.DatabaseError ? error : { message: String(error) };
  return { code, message: message ?? '', table, constraint, id };
}
