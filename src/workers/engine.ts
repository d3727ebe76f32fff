/**
 * The order engine of one process: takes the partitions over, starts the shard threads, connects
 * the router; and stops in the opposite order. Benchmarks and tests start it without HTTP.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { ShardLimits } from '../actors/shard-protocol.ts';
import { withClient } from '../db/client.ts';
import { releaseOwners, replaceOwner, takeOver } from '../db/ownership.ts';
import { ShardDatabase } from '../db/shard-database.ts';
import { withinTime } from '../db/silence.ts';
import type { BatchRecord, EngineControl, Inspector } from '../domain/inspection.ts';
import type { ShedCode } from '../domain/outcome.ts';
import type { OrderGateway } from '../domain/ports.ts';
import type { LoggerOptions } from '../telemetry/logger.ts';
import { Router } from './router.ts';
import { ShardThreads } from './shard-host.ts';
import { ShardInspector } from './shard-inspector.ts';
import { ShardPool } from './shard-pool.ts';
import type { ShardEnd } from './shard-task.ts';

/** Milliseconds for which an owner may answer after its last proof of ownership. */
const PROOF_AGE_MS_MAX = 1000;
/** A second batch in flight is worth its transaction from this many orders on. */
const OVERLAP_ORDERS_MIN = 100;
const OVERLAP_WAIT_MS_MAX = 100;
/** Lines cost PostgreSQL about as much as orders; a batch must end well within its timeout. */
const BATCH_LINES_MAX = 10_000;
const ACTORS_MAX = 100_000;
const QUERY_IDS_MAX = 1000;
const EXPIRING_MAX = 1_000_000;
/** Shares of the request's time: undecided for this long, and a statement running for this long. */
const UNDECIDED_SHARE = 0.8;
const STATEMENT_SHARE = 0.9;
/** For the transaction that replaces an owner; then it is tried again. */
const REPLACE_MS_MAX = 2000;
/** A batch is four statements, and each may take its whole time; who is silent for longer is gone. */
const SILENCE_FACTOR = 4;
/** Milliseconds for a shard that is restarted to commit, and for which its next owner is awaited. */
const DRAIN_MS_MAX = 2000;
const RESTART_MS_MAX = 5000;
/** Requests that wait in the router per undecided command of the shards. */
const WAITING_PER_PLACE = 2;

export interface EngineOptions {
  /** Names this process in `owners`. */
  readonly node: string;
  readonly shards: number;
  readonly batchOrdersMax: number;
  readonly batchWaitMsMax: number;
  readonly commitsInFlightMax: number;
  readonly mailboxMax: number;
  readonly requestTimeoutMs: number;
  readonly holdTtlMs: number;
  readonly idempotencyWindowMax: number;
  readonly logLevel: LoggerOptions['level'];
  /** Told why some orders cannot be decided from now on, and null when all can again. */
  readonly onImpediment: (impediment: string | null) => void;
  /** Told of each try to commit a batch, when it ended. Must not throw. */
  readonly onBatch: (record: BatchRecord) => void;
}

export interface EngineStart {
  readonly databaseUrl: string;
  readonly onProgress: (message: string) => void;
  /** A shard ended by itself, or could not be replaced yet; `reason` null: it is restarted. */
  readonly onShardLost: (shard: number, reason: string | null) => void;
}

export class Engine {
  /** What an operator may do to it. */
  readonly control: EngineControl = {
    restartShard: async (shard) => {
      const owner = await this.#pool?.restart(shard);
      this.#inspector.forget();
      return owner;
    },
  };
  readonly #options: EngineOptions;
  readonly #router: Router;
  readonly #inspector: ShardInspector;
  #takeover = { databaseUrl: '', applicationName: '' };
  #pool: ShardPool | null = null;

  /** The gateway sheds until `start` has resolved. */
  constructor(options: EngineOptions) {
    this.#options = options;
    const waitingMax =
      options.shards *
      (options.mailboxMax * WAITING_PER_PLACE +
        options.batchOrdersMax * (options.commitsInFlightMax + 1));
    const { shards, requestTimeoutMs } = options;
    const { onImpediment } = options;
    this.#router = new Router({ shards, requestTimeoutMs, waitingMax, onImpediment });
    this.#inspector = new ShardInspector({
      count: shards,
      running: () => this.#pool,
      now: () => performance.now(),
    });
  }

  get gateway(): OrderGateway {
    return this.#router;
  }

  /** Knows of no shards until `start` has resolved. */
  get inspector(): Inspector {
    return this.#inspector;
  }

  /** Requests without an answer. */
  get waiting(): number {
    return this.#router.waiting;
  }

  /** Why some orders cannot be decided now, fit for an operator; null when all can. */
  get impediment(): string | null {
    return this.#router.impediment;
  }

  /**
   * Fences whoever owns the partitions, claims them and serves.
   *
   * @returns how the engine ends by itself, which is by another node's takeover; it never rejects.
   * @throws when PostgreSQL cannot be reached, is not durable, or a shard does not start.
   */
  async start(start: EngineStart): Promise<{ ended: Promise<ShardEnd> }> {
    const { databaseUrl, onProgress } = start;
    const { node, shards, holdTtlMs } = this.#options;
    this.#takeover = { databaseUrl, applicationName: 'hedonify-takeover' };
    onProgress('opening sessions');
    await this.#rehearse(databaseUrl);
    onProgress('taking the partitions over');
    const { owners, fencedNodes } = await withClient(this.#takeover, (client) =>
      takeOver(client, { node, shards, holdTtlMs }),
    );
    onProgress(`starting ${shards} shard thread(s)`);
    const pool = ShardPool.start({
      host: new ShardThreads(shards),
      drainMsMax: DRAIN_MS_MAX,
      restartMsMax: RESTART_MS_MAX,
      databaseUrl,
      owners,
      limits: limitsOf(this.#options),
      windowLinesMax: this.#options.idempotencyWindowMax,
      statementTimeoutMs: this.#options.requestTimeoutMs * STATEMENT_SHARE,
      silenceMsMax: this.#options.requestTimeoutMs * STATEMENT_SHARE * SILENCE_FACTOR,
      logLevel: this.#options.logLevel,
      onServing: (shard, port) => this.#router.connect(shard, port),
      onLost: (shard, reason) => {
        this.#router.disconnect(shard);
        start.onShardLost(shard, reason);
      },
      onBatch: (record) => {
        this.#inspector.add(record);
        this.#options.onBatch(record);
      },
      replaceOwner: (replacement) =>
        withClient(this.#takeover, (client) =>
          withinTime(client, REPLACE_MS_MAX, () => replaceOwner(client, { node, ...replacement })),
        ),
    });
    if (fencedNodes.length > 0) {
      // Whoever was fenced may go on refusing for as long as its last proof is fresh. It commits
      // nothing more, so the shards may load meanwhile.
      onProgress(`fenced ${fencedNodes.join(', ')}; waiting until it has noticed`);
      await Promise.all([pool, delay(PROOF_AGE_MS_MAX)]);
    }
    this.#pool = await pool;
    this.#router.open();
    return { ended: this.#pool.ended };
  }

  /** Whoever cannot open its sessions must find out before it fences the one who has them. */
  async #rehearse(databaseUrl: string): Promise<void> {
    const { shards, commitsInFlightMax, requestTimeoutMs } = this.#options;
    const opened = await Promise.allSettled(
      Array.from({ length: shards }, () =>
        ShardDatabase.open({
          databaseUrl,
          applicationName: 'hedonify-rehearsal',
          statementTimeoutMs: requestTimeoutMs * STATEMENT_SHARE,
          silenceMsMax: requestTimeoutMs * STATEMENT_SHARE * SILENCE_FACTOR,
          commitsInFlightMax,
        }),
      ),
    );
    for (const result of opened) if (result.status === 'fulfilled') await result.value.close();
    for (const result of opened) if (result.status === 'rejected') throw result.reason;
  }

  /** Answers `code` from now on; nothing more is decided. */
  close(code: ShedCode): void {
    this.#router.close(code);
  }

  /** Sheds new requests, commits and answers the accepted ones, gives the partitions back. */
  async stop(): Promise<void> {
    this.#router.close('shutting-down');
    if (this.#pool === null) return;
    await this.#pool.stop();
    const release = { node: this.#options.node, owners: this.#pool.owners };
    await withClient(this.#takeover, (client) => releaseOwners(client, release));
  }
}

function limitsOf(options: EngineOptions): ShardLimits {
  return {
    batchOrdersMax: options.batchOrdersMax,
    batchWaitMsMax: options.batchWaitMsMax,
    commitsInFlightMax: options.commitsInFlightMax,
    batchLinesMax: BATCH_LINES_MAX,
    overlapOrdersMin: OVERLAP_ORDERS_MIN,
    overlapWaitMsMax: OVERLAP_WAIT_MS_MAX,
    mailboxMax: options.mailboxMax,
    undecidedMsMax: options.requestTimeoutMs * UNDECIDED_SHARE,
    proofAgeMsMax: PROOF_AGE_MS_MAX,
    holdTtlMs: options.holdTtlMs,
    actorsMax: ACTORS_MAX,
    queryIdsMax: QUERY_IDS_MAX,
    expiringMax: EXPIRING_MAX,
  };
}
