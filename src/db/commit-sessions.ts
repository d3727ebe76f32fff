/**
 * The sessions on which a shard commits. One that was lost is opened anew when a batch needs it.
 *
 * Owns: which sessions rest, and the age of their staging tables. Does not own: what is done on a
 * session; whoever took one gives it back intact, or cuts it.
 *
 * I2: every session has proven that the server is durable, also one opened anew.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { findBackend } from './batch-claim.ts';
import type { Backend } from './batch-claim.ts';
import { openCommitSession, renewStaging } from './commit-session.ts';
import type { CommitSessionOptions } from './commit-session.ts';
import type { Connections } from './connections.ts';
import { isPassing } from './db-error.ts';
import { cutClient, withinTime } from './silence.ts';

/**
 * Commits of the shard after which a session's staging table gets a new file. Emptying it at every
 * COMMIT leaves its oldest transaction id where it was, and autovacuum cannot reach another
 * session's table, so without this a session that lives for weeks would hold back the whole server's.
 */
const COMMITS_PER_STAGING = 100_000;
/** Commits after which the session that rested longest has its turn. */
const COMMITS_PER_TURN = 1000;

/** For a batch to get a session, all tries together; and between two tries. */
const TAKE_MS_MAX = 1000;
const RETRY_MS = 75;

export interface CommitSession {
  readonly client: pg.Client;
  readonly backend: Backend;
  /** Commits of the shard when the staging table got its file. */
  stagedAt: number;
}

export class CommitSessions {
  readonly #connections: Connections;
  readonly #options: CommitSessionOptions;
  readonly #idle: CommitSession[] = [];
  #commits = 0;

  constructor(connections: Connections, options: CommitSessionOptions) {
    this.#connections = connections;
    this.#options = options;
  }

  /** One more session that rests. */
  async open(msMax: number): Promise<void> {
    this.#idle.push(await this.#open(msMax));
  }

  /**
   * For one commit; null when none can be had in time. Rejects for a defect, or a server that is not
   * durable any more. One that rests ready is there without a promise: PostgreSQL has the batch before
   * the answers of the last one wake the HTTP thread, which is worth a tenth of the orders where
   * batches are small.
   */
  take(): CommitSession | Promise<CommitSession | null> {
    this.#commits += 1;
    const idle = this.#takeIdle();
    if (idle === undefined || this.#isStale(idle)) return this.#prepare(idle);
    return idle;
  }

  async #prepare(idle: CommitSession | undefined): Promise<CommitSession | null> {
    let next = idle;
    const deadline = performance.now() + TAKE_MS_MAX;
    for (let leftMs = TAKE_MS_MAX; leftMs > 0; leftMs = deadline - performance.now()) {
      try {
        const session = next ?? this.#takeIdle() ?? (await this.#open(leftMs));
        next = undefined;
        return await this.#ready(session);
      } catch (error) {
        if (!isPassing(error)) throw error;
        await delay(RETRY_MS);
      }
    }
    return null;
  }

  /** Its transaction is over. */
  giveBack(session: CommitSession): void {
    this.#idle.push(session);
  }

  #takeIdle(): CommitSession | undefined {
    for (;;) {
      // The last one used has its plans and pages at hand, which is worth a tenth of the CPU; now
      // and then the other one, so that it does not rest for ever.
      const inTurn = this.#commits % COMMITS_PER_TURN === 0;
      const session = inTurn ? this.#idle.shift() : this.#idle.pop();
      // One that was lost while it rested is not worth a batch.
      if (session === undefined || this.#connections.has(session.client)) return session;
    }
  }

  async #open(msMax: number): Promise<CommitSession> {
    const opening = openCommitSession({ ...this.#options, openMsMax: msMax });
    const client = await this.#connections.add(opening);
    const backend = await prepare(client, () => findBackend(client));
    return { client, backend, stagedAt: this.#commits };
  }

  #isStale(session: CommitSession): boolean {
    return this.#commits - session.stagedAt >= COMMITS_PER_STAGING;
  }

  async #ready(session: CommitSession): Promise<CommitSession> {
    if (this.#isStale(session)) {
      session.stagedAt = this.#commits;
      await prepare(session.client, () => renewStaging(session.client));
    }
    return session;
  }
}

/** Readies a session that nobody has yet: if that fails, it is no more. */
async function prepare<T>(client: pg.Client, work: () => Promise<T>): Promise<T> {
  try {
    return await withinTime(client, TAKE_MS_MAX, work);
  } catch (error) {
    cutClient(client);
    throw error;
  }
}
