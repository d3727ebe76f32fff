/** What the pieces of one shard core share; each piece says what of it it owns. */
import { Attempts } from './attempts.ts';
import { CommitQueue } from './commit-queue.ts';
import { Expiry } from './expiry.ts';
import { Holds } from './holds.ts';
import type { IdempotencyWindow } from './idempotency-window.ts';
import { LookUps } from './look-ups.ts';
import { Mailroom } from './mailroom.ts';
import { Outbox } from './outbox.ts';
import { Refusals } from './refusals.ts';
import type { ShardIdentity, ShardLimits } from './shard-protocol.ts';
import { Tally } from './tally.ts';
import type { WaitingRequest } from './waiting.ts';

/** Of a shard's places: orders that wait for other shards. */
const ATTEMPTS_SHARE = 0.25;

export class ShardState {
  readonly identity: ShardIdentity;
  readonly limits: ShardLimits;
  readonly window: IdempotencyWindow;
  readonly mailroom: Mailroom;
  readonly out: Outbox;
  readonly commits: CommitQueue;
  readonly attempts: Attempts;
  readonly holds: Holds;
  readonly expiry: Expiry;
  readonly lookUps = new LookUps();
  readonly refusals = new Refusals();
  readonly tally = new Tally();
  /** Only what is under way is brought to its end. */
  stopping = false;
  #provenAt: number;

  constructor(identity: ShardIdentity, limits: ShardLimits, window: IdempotencyWindow) {
    this.identity = identity;
    this.limits = limits;
    this.window = window;
    this.mailroom = new Mailroom(limits);
    const { actors } = this.mailroom;
    this.out = new Outbox(this.mailroom, this.tally);
    this.commits = new CommitQueue(identity.ownerId, limits);
    const max = Math.ceil(limits.mailboxMax * ATTEMPTS_SHARE);
    this.attempts = new Attempts({ shards: identity.shards, max, actors, out: this.out });
    this.holds = new Holds(actors, this.out, this.tally);
    this.expiry = new Expiry(limits.expiringMax);
    this.#provenAt = identity.provenAt;
  }

  /**
   * Whether ownership was proven lately. A woken zombie must not even refuse: somebody else may own
   * the products by now (I5).
   */
  isProven(now: number): boolean {
    const age = now - this.#provenAt;
    // A proof of later than now was given before the clock was set back: it says nothing.
    return age >= 0 && age <= this.limits.proofAgeMsMax;
  }

  prove(provenAt: number, now: number): void {
    if (provenAt > this.#provenAt || this.#provenAt > now) this.#provenAt = provenAt;
  }

  /** For a command that waited for the end of another one. */
  decideAgain(waiting: WaitingRequest): void {
    if (this.stopping) this.out.shed(waiting, 'shutting-down');
    else this.mailroom.admitAgain(waiting);
  }
}
