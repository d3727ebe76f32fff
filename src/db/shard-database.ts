/**
 * A shard's sessions: one per commit in flight, and one for everything it reads.
 *
 * Reads take turns on their session, since pg deprecates queries queued on a busy client.
 */
import type pg from 'pg';
import type { Batch, Committed, StoredEffect } from '../domain/batch.ts';
import type { OwnerId, ProductId } from '../domain/ids.ts';
import type { ProductState } from '../domain/product.ts';
import { writeBatch } from './batch-writer.ts';
import { openCommitSession, openShardSession, renewStaging, unbounded } from './commit-session.ts';
import type { CommitSessionOptions } from './commit-session.ts';
import { findFence } from './ownership.ts';
import { findEffects, readNewestOrders, readProducts } from './shard-reader.ts';

/**
 * Commits of the shard after which a session's staging table gets a new file. Emptying it at every COMMIT leaves
 * its oldest transaction id where it was, and autovacuum cannot reach another session's table, so
 * without this a session that lives for weeks would hold back the whole server's.
 */
const COMMITS_PER_STAGING = 100_000;

/** Commits after which the session that rested longest has its turn. */
const COMMITS_PER_TURN = 1000;

interface Session {
  readonly client: pg.Client;
  /** Commits of the shard when the staging table got its file. */
  stagedAt: number;
}

export class ShardDatabase {
  /** Resolves when a session breaks although nobody closed it; never rejects. */
  readonly lost: Promise<Error>;
  readonly #reader: pg.Client;
  readonly #all: readonly pg.Client[];
  readonly #idle: Session[];
  #commits = 0;
  #lastRead: Promise<unknown> = Promise.resolve();
  #closing = false;

  private constructor(reader: pg.Client, writers: readonly pg.Client[]) {
    this.#reader = reader;
    this.#all = [reader, ...writers];
    this.#idle = writers.map((client) => ({ client, stagedAt: 0 }));
    this.lost = new Promise((resolve) => {
      for (const client of this.#all) {
        client.on('error', (error: Error) => {
          if (!this.#closing) resolve(error);
        });
      }
    });
  }

  static async open(
    options: CommitSessionOptions & { readonly commitsInFlightMax: number },
  ): Promise<ShardDatabase> {
    // The reader stages nothing: a table that is never renewed would hold transaction ids back.
    const [reader, ...writers] = await Promise.all([
      openShardSession(options),
      ...Array.from({ length: options.commitsInFlightMax }, () => openCommitSession(options)),
    ]);
    return new ShardDatabase(reader, writers);
  }

  /** Needs a free session: the core never has more than `commitsInFlightMax` batches in flight. */
  async commit(batch: Batch): Promise<Committed> {
    this.#commits += 1;
    // The last one used has its plans and pages at hand, which is worth a tenth of the CPU; now and
    // then the other one, so that it does not rest for ever.
    const session = this.#commits % COMMITS_PER_TURN === 0 ? this.#idle.shift() : this.#idle.pop();
    if (session === undefined) throw new Error('more batches in flight than sessions');
    if (this.#commits - session.stagedAt >= COMMITS_PER_STAGING) {
      session.stagedAt = this.#commits;
      await renewStaging(session.client);
    }
    const committed = await writeBatch(session.client, batch);
    this.#idle.push(session);
    return committed;
  }

  products(ids: readonly ProductId[]): Promise<ProductState[]> {
    return this.#read((client) => readProducts(client, ids));
  }

  effects(ids: readonly string[]): Promise<StoredEffect[]> {
    return this.#read((client) => findEffects(client, ids));
  }

  fence(owner: OwnerId): Promise<string | null> {
    return this.#read((client) => findFence(client, owner));
  }

  /** At takeover, before anything is served; takes as long as it takes. */
  newestOrders(query: Parameters<typeof readNewestOrders>[1]): ReturnType<typeof readNewestOrders> {
    return this.#read((client) => unbounded(client, () => readNewestOrders(client, query)));
  }

  async close(): Promise<void> {
    this.#closing = true;
    await Promise.all(this.#all.map((client) => client.end()));
  }

  #read<T>(query: (client: pg.Client) => Promise<T>): Promise<T> {
    const result = this.#lastRead.then(() => query(this.#reader));
    this.#lastRead = result.catch(() => undefined);
    return result;
  }
}
