/** Shards without threads for the supervisor's tests: they do what the test says. */
import { setImmediate as endOfTurn } from 'node:timers/promises';
import type { MessagePort } from 'node:worker_threads';
import type { OwnerId } from '../../src/domain/ids.ts';
import type { ShardHost } from '../../src/workers/shard-host.ts';
import { ShardPool } from '../../src/workers/shard-pool.ts';
import type { ShardPoolOptions } from '../../src/workers/shard-pool.ts';
import type { Control, Report, ShardEnd, ShardTask } from '../../src/workers/shard-task.ts';

/** One that was launched. */
export class FakeShard {
  readonly task: ShardTask;
  readonly heard: Control[] = [];
  /** It was ended from outside. */
  killed = false;
  #end: (end: ShardEnd) => void = () => undefined;
  readonly ended: Promise<ShardEnd>;

  constructor(task: ShardTask, signal: AbortSignal) {
    this.task = task;
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    task.control.on('message', (message: Control) => this.heard.push(message));
    signal.addEventListener('abort', () => {
      this.killed = true;
      this.end({ type: 'failed', reason: 'killed' });
    });
  }

  ready(): void {
    this.#router.postMessage({ type: 'ready' });
  }

  /** To the supervisor. */
  report(report: Report): void {
    this.task.control.postMessage(report);
  }

  end(end: ShardEnd): void {
    this.#end(end);
    this.#router.close();
    this.task.control.close();
  }

  get #router(): MessagePort {
    const [router] = this.task.routers;
    if (router === undefined) throw new Error('a shard without a router');
    return router;
  }
}

export class FakeHost implements ShardHost {
  readonly launched: FakeShard[] = [];
  destroyed = false;

  run(task: ShardTask, signal: AbortSignal): Promise<ShardEnd> {
    const shard = new FakeShard(task, signal);
    this.launched.push(shard);
    return shard.ended;
  }

  async destroy(): Promise<void> {
    this.destroyed = true;
    await endOfTurn();
  }

  /** The `n`th that was launched. */
  shard(n: number): FakeShard {
    const shard = this.launched[n];
    if (shard === undefined) throw new Error(`shard ${n} was not launched`);
    return shard;
  }
}

const PATIENT = 60_000;
const UNUSED = {
  drainMsMax: PATIENT,
  restartMsMax: PATIENT,
  databaseUrl: '',
  windowLinesMax: 1,
  statementTimeoutMs: 1,
  silenceMsMax: 1,
  logLevel: 'silent',
  limits: {
    batchOrdersMax: 1,
    batchLinesMax: 1,
    batchWaitMsMax: 0,
    commitsInFlightMax: 1,
    overlapOrdersMin: 1,
    overlapWaitMsMax: 1,
    mailboxMax: 1,
    undecidedMsMax: 1,
    proofAgeMsMax: 1,
    holdTtlMs: 1,
    actorsMax: 1,
    queryIdsMax: 1,
    expiringMax: 1,
  },
} as const;

export interface Told {
  readonly pool: ShardPool;
  readonly host: FakeHost;
  /** What the supervisor told its neighbours, in order. */
  readonly told: string[];
}

/** A pool of two shards that serve, with the owners 1 and 2; the next ones are 3, 4, ... */
export async function startPool(options: Partial<ShardPoolOptions> = {}): Promise<Told> {
  const host = new FakeHost();
  const told: string[] = [];
  let lastOwner = 2;
  const started = ShardPool.start({
    ...UNUSED,
    host,
    owners: [1, 2].map((id) => id as OwnerId),
    onServing: (shard) => told.push(`${shard} serves`),
    onLost: (shard, reason) => told.push(`${shard} lost: ${reason}`),
    onBatch: ({ no }) => told.push(`batch ${no}`),
    replaceOwner: () => {
      lastOwner += 1;
      return Promise.resolve({ owner: lastOwner as OwnerId });
    },
    ...options,
  });
  for (const shard of host.launched) shard.ready();
  const pool = await started;
  told.length = 0;
  return { pool, host, told };
}
