/**
 * One shard's way to the fake PostgreSQL: it takes time, it fails, and answers get lost. A batch is
 * applied at a moment between sending and answer that the dice choose, so that batches of one owner
 * overtake each other, on the way there and on the way back.
 */
import type { Effect, ShardEvent } from '../../src/actors/shard-protocol.ts';
import type { Batch, Committed } from '../../src/domain/batch.ts';
import { unreachable } from '../../src/domain/errors.ts';
import type { OwnerId, ProductId } from '../../src/domain/ids.ts';
import type { PeerMessage } from '../../src/domain/wire.ts';
import type { FakePostgres, MergeEnd } from './fake-postgres.ts';
import type { Dice, VirtualClock } from './virtual-clock.ts';

export type DatabaseEffect = Extract<
  Effect,
  {
    readonly type:
      'commit' | 'resolve' | 'load' | 'look-up' | 'find-freed' | 'load-expiring' | 'expired-until';
  }
>;

/** Milliseconds between two tries of whatever is asked until it is answered. */
const RETRY_MS = 40;
/** Of a zombie: a transaction that goes on long after its client gave it up. */
const ZOMBIE_MS = 400;

/** What all sessions of a run share. */
export interface Weather {
  /** PostgreSQL cannot be reached. */
  away: boolean;
  /** Rises each time PostgreSQL goes away: transactions under way do not survive it. */
  outages: number;
  /** Share of commits and reads that fail. */
  trouble: number;
  /** Share of effects before which the shard dies. */
  deadliness: number;
}

/** Told at the moment of the COMMIT, or when one owner says something to another. */
export interface CommitWitness {
  committed(batch: Batch, committed: Committed): void;
  rejected(id: ProductId | string | null): void;
  expiredUntil(shard: number, time: number): void;
  said(from: OwnerId, to: OwnerId, message: PeerMessage): void;
}

export interface World {
  readonly clock: VirtualClock;
  readonly dice: Dice;
  readonly postgres: FakePostgres;
  readonly weather: Weather;
  readonly witness: CommitWitness;
}

export class FakeSessions {
  /** No answer arrives any more. */
  isCut = false;
  readonly #world: World;
  readonly #shard: number;
  readonly #ownerId: OwnerId;
  readonly #feed: (event: ShardEvent) => void;

  /** `feed` drops what comes after the death of the shard. */
  constructor(
    world: World,
    shard: { readonly shard: number; readonly ownerId: OwnerId },
    feed: (event: ShardEvent) => void,
  ) {
    this.#world = world;
    this.#shard = shard.shard;
    this.#ownerId = shard.ownerId;
    this.#feed = (event) => {
      if (!this.isCut) feed(event);
    };
  }

  execute(effect: DatabaseEffect): void {
    const { postgres } = this.#world;
    switch (effect.type) {
      case 'commit':
        this.#commit(effect.batch);
        return;
      case 'resolve':
        this.#resolve(effect.no);
        return;
      case 'load':
        this.#read({ type: 'load-failed' }, () => {
          return { type: 'loaded', products: postgres.products(effect.ids) };
        });
        return;
      case 'look-up':
        this.#read({ type: 'look-up-failed' }, () => {
          return { type: 'looked-up', effects: postgres.effects(effect.ids) };
        });
        return;
      case 'find-freed': {
        const { by } = effect;
        if (!postgres.isFenced(by)) throw new Error(`owner ${by} is asked for while it serves`);
        this.#read(null, () => ({ type: 'freed-found', products: postgres.freedBy(by) }));
        return;
      }
      case 'load-expiring': {
        // Small pages: what is beyond the last one must be asked for.
        const max = Math.min(effect.max, this.#world.dice.int(1, 6));
        const query = { shard: this.#shard, after: effect.after, max };
        this.#read(null, () => ({ type: 'expiring', ...postgres.expiring(query) }));
        return;
      }
      case 'expired-until':
        this.#moveWatermark(effect.time);
        return;
      default:
        unreachable(effect);
    }
  }

  /** Reads the own fence; `fenced` is called instead of the proof when there is one. */
  prove(fenced: () => void): void {
    const { clock, dice, postgres, weather } = this.#world;
    const provenAt = clock.now;
    clock.after(dice.int(0, 15), () => {
      if (weather.away || this.#fails()) return;
      const isFenced = postgres.isFenced(this.#ownerId);
      clock.after(dice.int(0, 15), () => {
        if (isFenced && !this.isCut) fenced();
        else this.#feed({ type: 'owned', provenAt });
      });
    });
  }

  #commit(batch: Batch): void {
    const { clock, dice, weather } = this.#world;
    const provenAt = clock.now;
    if (weather.away) {
      // Refused connections were never sent anything; of a broken one nobody knows.
      const end = dice.chance(0.5) ? 'passing' : 'unknown';
      clock.after(this.#delay(), () => this.#tell(batch.no, end, 0));
      return;
    }
    const outages = weather.outages;
    const fate = this.#fails()
      ? dice.pick(['passing', 'passing', 'lost', 'zombie', 'lost-after'] as const)
      : 'ok';
    if (fate === 'passing') {
      clock.after(this.#delay(), () => this.#tell(batch.no, 'passing', 0));
    } else if (fate === 'lost' || fate === 'zombie') {
      clock.after(this.#delay(), () => this.#tell(batch.no, 'unknown', 0));
      if (fate === 'zombie') clock.after(dice.int(0, ZOMBIE_MS), () => this.#merge(batch, outages));
    } else {
      clock.after(this.#delay(), () => {
        const end = this.#merge(batch, outages);
        clock.after(this.#delay(), () => {
          const lost = end === null || weather.outages !== outages || fate === 'lost-after';
          this.#tell(batch.no, lost ? 'unknown' : end, provenAt);
        });
      });
    }
  }

  /** Null when an outage ended the transaction. */
  #merge(batch: Batch, outages: number): MergeEnd | null {
    const { postgres, weather, witness } = this.#world;
    if (weather.outages !== outages) return null;
    const end = postgres.merge(batch);
    if (end.type === 'committed') witness.committed(batch, end.committed);
    else if (end.cause.type === 'rejected') witness.rejected(end.cause.id);
    return end;
  }

  #resolve(no: number): void {
    const { clock, postgres, weather } = this.#world;
    clock.after(this.#delay(), () => {
      if (weather.away) {
        clock.after(RETRY_MS, () => this.#tell(no, 'unknown', 0));
        return;
      }
      const end = postgres.resolve({ ownerId: this.#ownerId, no });
      const lost = this.#fails();
      // It may have committed long ago, which proves nothing now.
      clock.after(this.#delay(), () => this.#tell(no, lost ? 'unknown' : end, 0));
    });
  }

  #tell(no: number, end: MergeEnd | 'unknown' | 'passing', provenAt: number): void {
    if (end === 'unknown') this.#feed({ type: 'unknown', no });
    else if (end === 'passing') this.#feed({ type: 'aborted', no, cause: { type: 'passing' } });
    else if (end.type === 'aborted') this.#feed({ ...end, no });
    else this.#feed({ ...end, no, provenAt });
  }

  /** `failed`: what a failure is answered with; null = the read is tried again until it works. */
  #read(failed: ShardEvent | null, query: () => ShardEvent): void {
    const { clock, weather } = this.#world;
    clock.after(this.#delay(), () => {
      if (!weather.away && !this.#fails()) {
        const event = query();
        clock.after(this.#delay(), () => this.#feed(event));
      } else if (failed !== null) {
        this.#feed(failed);
      } else {
        clock.after(RETRY_MS, () => this.#read(failed, query));
      }
    });
  }

  #moveWatermark(time: number): void {
    const { clock, postgres, weather, witness } = this.#world;
    witness.expiredUntil(this.#shard, time);
    clock.after(this.#delay(), () => {
      if (weather.away || this.#fails() || postgres.isFenced(this.#ownerId)) return;
      postgres.expiredUntil(this.#shard, time);
    });
  }

  #fails(): boolean {
    const { dice, weather } = this.#world;
    return dice.chance(weather.trouble);
  }

  /** Mostly short; now and then so long that whatever was sent later is faster. */
  #delay(): number {
    const { dice } = this.#world;
    return dice.chance(0.1) ? dice.int(20, 150) : dice.int(1, 12);
  }
}
