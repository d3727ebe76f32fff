/**
 * One owner of a shard as the supervisor sees it, from its launch to its end: its thread, the way to
 * it, and what it was asked. It loads, serves, may be told to leave, and ends; it may end at any time.
 * The next owner of the shard is another incarnation.
 */
import { once } from 'node:events';
import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';
import type { MessagePort } from 'node:worker_threads';
import type { OwnerId } from '../domain/ids.ts';
import type { BatchRecord, Inspections } from '../domain/inspection.ts';
import type { ShardHost } from './shard-host.ts';
import { ShardQuestions } from './shard-questions.ts';
import type { Ask, Control, Report, ShardEnd, ShardTask } from './shard-task.ts';

export interface Launch {
  readonly host: ShardHost;
  readonly task: Omit<ShardTask, 'routers' | 'control'>;
  readonly onBatch: (record: BatchRecord) => void;
}

export class Incarnation {
  readonly ownerId: OwnerId;
  /** To its router. */
  readonly router: MessagePort;
  /** Never rejects. */
  readonly end: Promise<ShardEnd>;
  /** Null when it can serve, else how it ended before. */
  readonly ready: Promise<ShardEnd | null>;
  readonly #control: MessagePort;
  readonly #kill = new AbortController();
  readonly #questions: ShardQuestions;
  #state: 'loading' | 'serving' | 'ended' = 'loading';
  #leaves = false;

  constructor({ host, task, onBatch }: Launch) {
    const router = new MessageChannel();
    const control = new MessageChannel();
    this.ownerId = task.ownerId;
    this.router = router.port1;
    this.#control = control.port1;
    this.#questions = new ShardQuestions((question) => this.#control.postMessage(question));
    const hear = (report: Report): void => {
      if (report.type === 'batches') report.records.forEach(onBatch);
      else this.#questions.hear(report.n, report.reply);
    };
    this.#control.on('message', hear);
    // No reason for the process to go on.
    this.#control.unref();
    const ready = once(this.router, 'message').then(() => null);
    const whole = { ...task, routers: [router.port2], control: control.port2 };
    this.end = host.run(whole, this.#kill.signal).then((end) => {
      this.#state = 'ended';
      // Its end came another way than its last words, and may have overtaken them.
      for (;;) {
        const last: { readonly message: Report } | undefined = receiveMessageOnPort(this.#control);
        if (last === undefined) break;
        hear(last.message);
      }
      this.#questions.close();
      this.#control.close();
      return end;
    });
    this.ready = Promise.race([ready, this.end]);
  }

  /** Requests are sent to it, and it is not about to end. */
  get serves(): boolean {
    return this.#state === 'serving' && !this.#leaves;
  }

  /** It was told to end, so that another one takes its place. */
  get leaves(): boolean {
    return this.#leaves;
  }

  serve(): void {
    if (this.#state === 'loading') this.#state = 'serving';
  }

  tell(message: Control, transfer: MessagePort[] = []): void {
    this.#control.postMessage(message, transfer);
  }

  /** Undefined when it does not serve, or does not answer. Never rejects. */
  ask<A extends Ask>(
    ask: A,
    query: Inspections[A]['query'],
  ): Promise<Inspections[A]['reply'] | undefined> {
    return this.serves ? this.#questions.ask(ask, query) : Promise.resolve(undefined);
  }

  /** Commits what it accepted, then ends. */
  leave(): void {
    this.#leaves = true;
    this.#questions.close();
    this.tell({ type: 'stop' });
  }

  /** Ends its thread at once, unless it has ended: another one may be running in there. */
  kill(): void {
    if (this.#state !== 'ended') this.#kill.abort();
  }
}
