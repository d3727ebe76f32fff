/**
 * The router as the shards see it: commands to the home shard, deadlines, and what happens to those
 * who wait when a shard is replaced.
 */
import { partitionOf, shardOf } from '../../src/domain/ids.ts';
import type { OwnerId, PartitionId } from '../../src/domain/ids.ts';
import type { Answer, Command, PlaceCommand } from '../../src/domain/wire.ts';
import type { Incarnation } from './incarnation.ts';
import type { Model } from './model.ts';
import type { Request } from './request-model.ts';
import type { Dice, VirtualClock } from './virtual-clock.ts';

const REQUEST_TIMEOUT_MS = 2000;

export type Outcome = Answer | { readonly type: 'unknown' };

interface Waiter extends Request {
  readonly shard: number;
  /** Whose answer counts: the channel to any other is closed. */
  sentTo: OwnerId | null;
  outcome: Outcome | null;
  readonly done: (outcome: Outcome) => void;
}

export class FakeRouter {
  readonly #clock: VirtualClock;
  readonly #dice: Dice;
  readonly #model: Model;
  readonly #waiters: Waiter[] = [];
  readonly #shards: Incarnation[] = [];
  /** By owner and request. */
  readonly #answered = new Set<string>();
  /** By owner: when the last group arrives, since channels keep the order. */
  readonly #arrivals = new Map<OwnerId, number>();

  constructor(parts: { readonly clock: VirtualClock; readonly dice: Dice; readonly model: Model }) {
    this.#clock = parts.clock;
    this.#dice = parts.dice;
    this.#model = parts.model;
  }

  get waiting(): number {
    return this.#waiters.filter(({ outcome }) => outcome === null).length;
  }

  /** `incarnation` serves its shard from now on; who waits there is sent to it again. */
  connect(incarnation: Incarnation): void {
    const { shard } = incarnation;
    this.#shards[shard] = incarnation;
    for (const waiter of this.#waiters) {
      if (waiter.shard !== shard || waiter.outcome !== null || waiter.sentTo === null) continue;
      const { command } = waiter;
      const isUnkeyed = command.kind === 'change-stock' && !command.keyed;
      if (isUnkeyed || command.kind === 'edit-product') {
        waiter.sentTo = null;
        this.#settle(waiter, { type: 'unknown' });
      } else {
        waiter.resent = true;
        this.#post(waiter, command.kind === 'place' ? { ...command, keyed: true } : command);
      }
    }
  }

  /** `n` and `otherShards` are the router's to fill in. */
  send(asked: Command, done: (outcome: Outcome) => void): void {
    const { partitions, ...rest } = routeOf(asked, this.#shards.length);
    const n = this.#waiters.length;
    const command = asked.kind === 'place' ? { ...asked, n, ...rest } : { ...asked, n };
    const shard = shardOf(lowest(partitions), this.#shards.length);
    const waiter: Waiter = {
      command,
      sentAt: this.#clock.now,
      resent: false,
      closed: false,
      shard,
      sentTo: null,
      outcome: null,
      done,
    };
    this.#waiters.push(waiter);
    this.#model.requested(waiter);
    this.#post(waiter, command);
    this.#clock.after(REQUEST_TIMEOUT_MS, () => {
      if (waiter.outcome === null) this.#settle(waiter, { type: 'unknown' });
    });
  }

  /** A core answers; the answer arrives later, or never when the shard is replaced meanwhile. */
  answer(from: OwnerId, answer: Answer): void {
    const waiter = this.#waiters[answer.n];
    if (waiter === undefined) throw new Error(`I8: an answer to nobody: ${answer.n}`);
    const once = `${from}/${answer.n}`;
    if (this.#answered.has(once)) throw new Error(`I8: request ${answer.n} is answered twice`);
    this.#answered.add(once);
    this.#model.answered(from, waiter, answer);
    this.#clock.after(this.#dice.int(0, 5), () => {
      if (waiter.sentTo !== from) return;
      this.#model.delivered(waiter, answer);
      if (waiter.outcome !== null) return;
      const isGuess = answer.type === 'shed' && waiter.resent;
      this.#settle(waiter, isGuess ? { type: 'unknown' } : answer);
    });
  }

  #post(waiter: Waiter, command: Command): void {
    const incarnation = this.#shards[waiter.shard];
    if (incarnation === undefined) throw new Error(`there is no shard ${waiter.shard}`);
    const { ownerId } = incarnation;
    waiter.sentTo = ownerId;
    const earliest = this.#arrivals.get(ownerId) ?? 0;
    const arrival = Math.max(earliest, this.#clock.now + this.#dice.int(0, 4));
    this.#arrivals.set(ownerId, arrival);
    this.#clock.at(arrival, () => {
      incarnation.handle({ type: 'commands', from: 0, commands: [command] });
    });
  }

  #settle(waiter: Waiter, outcome: Outcome): void {
    waiter.outcome = outcome;
    waiter.done(outcome);
  }
}

function routeOf(
  command: Command,
  shards: number,
): { readonly partitions: readonly PartitionId[] } & Pick<PlaceCommand, 'otherShards'> {
  if (command.kind === 'change-status')
    return { partitions: command.partitions, otherShards: null };
  if (command.kind !== 'place') {
    return { partitions: [partitionOf(command.productId)], otherShards: null };
  }
  const partitions = command.lines.map(({ productId }) => partitionOf(productId));
  const home = shardOf(lowest(partitions), shards);
  const others = new Set(partitions.map((partition) => shardOf(partition, shards)));
  others.delete(home);
  return { partitions, otherShards: others.size === 0 ? null : [...others] };
}

function lowest(partitions: readonly PartitionId[]): PartitionId {
  const [first, ...rest] = partitions;
  if (first === undefined) throw new Error('a command without partitions');
  return rest.reduce((low, partition) => (partition < low ? partition : low), first);
}
