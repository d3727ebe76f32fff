/**
 * How many deliveries of each webhook may be in this process now, so that one receiver who is slow
 * or away does not hold up the others: every webhook has a few places; one whose receiver gave no
 * answer has a single one, after a pause that grows, until it answers again; and all of those
 * together have few enough places for the rest to go on.
 *
 * Only a hint, and so only in memory: it is found out anew by the next process.
 */
import type { WebhookId } from '../domain/ids.ts';
import type { DeliveryJob, WebhookRoom } from '../domain/webhook.ts';

/** Of one webhook that answers. */
export const WEBHOOK_PLACES = 8;
/** Of all webhooks together that do not. */
const PROBES_MAX = 16;
/** The first pause; doubled with each probe that fails. */
const PAUSE_MS = 1000;
const PAUSE_MS_MAX = 60_000;
/** Receivers away that are remembered; of more, those longest ago are tried like any other. */
const AWAY_MAX = 1000;

interface Away {
  /** Probes in a row that failed, the delivery that began it included. */
  readonly failures: number;
  /** Milliseconds since the epoch. */
  readonly until: number;
}

export interface WebhookHealthOptions {
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  /** 0 to 1. */
  readonly random: () => number;
}

export class WebhookHealth {
  readonly #options: WebhookHealthOptions;
  /** Leased deliveries by webhook: as many entries as jobs in the runner, at most. */
  readonly #leased = new Map<WebhookId, number>();
  readonly #away = new Map<WebhookId, Away>();

  constructor(options: WebhookHealthOptions) {
    this.#options = options;
  }

  /** Of the webhooks that have other places than WEBHOOK_PLACES. */
  rooms(): readonly WebhookRoom[] {
    const rooms: WebhookRoom[] = [];
    for (const [webhookId, leased] of this.#leased) {
      if (this.#away.has(webhookId)) continue;
      rooms.push({ webhookId, room: Math.max(0, WEBHOOK_PLACES - leased) });
    }
    return [...rooms, ...this.#probes()];
  }

  leased({ webhookId }: DeliveryJob): void {
    this.#leased.set(webhookId, (this.#leased.get(webhookId) ?? 0) + 1);
  }

  /**
   * @param startedAt - When the receiver was asked: what it fails to answer once it is known to be
   * away, having been asked before, says nothing new.
   */
  ended({ webhookId }: DeliveryJob, answered: boolean, startedAt: number): void {
    const left = (this.#leased.get(webhookId) ?? 1) - 1;
    if (left > 0) this.#leased.set(webhookId, left);
    else this.#leased.delete(webhookId);
    const away = this.#away.get(webhookId);
    if (answered) this.#away.delete(webhookId);
    else if (away === undefined || startedAt >= away.until) this.#pause(webhookId, away);
  }

  /** One place for each whose pause is over, as long as there are probes. */
  #probes(): readonly WebhookRoom[] {
    const now = this.#options.clock();
    const rooms: WebhookRoom[] = [];
    let probes = PROBES_MAX;
    for (const webhookId of this.#away.keys()) probes -= this.#leased.get(webhookId) ?? 0;
    for (const [webhookId, away] of Array.from(this.#away)) {
      const room = probes > 0 && now >= away.until && !this.#leased.has(webhookId) ? 1 : 0;
      rooms.push({ webhookId, room });
      if (room === 0) continue;
      probes -= 1;
      // Behind the others: whoever has nothing to send would otherwise keep its place for ever.
      this.#away.delete(webhookId);
      this.#away.set(webhookId, away);
    }
    return rooms;
  }

  #pause(webhookId: WebhookId, before: Away | undefined): void {
    const failures = (before?.failures ?? 0) + 1;
    const pause = Math.min(PAUSE_MS * 2 ** (failures - 1), PAUSE_MS_MAX);
    const { clock, random } = this.#options;
    const until = clock() + (pause * (1 + random())) / 2;
    this.#away.delete(webhookId);
    this.#away.set(webhookId, { failures, until });
    const [longestAgo] = this.#away.keys();
    if (this.#away.size > AWAY_MAX && longestAgo !== undefined) this.#away.delete(longestAgo);
  }
}
