import { beforeEach, describe, expect, test } from 'vitest';
import type { DeliveryJob } from '../../src/domain/webhook.ts';
import { WEBHOOK_PLACES, WebhookHealth } from '../../src/jobs/webhook-health.ts';
import { deliveryId, webhookId } from '../http/fake-webhooks.ts';

const START = 1_000_000;

function jobOf(webhook: number): DeliveryJob {
  return {
    id: deliveryId(1),
    webhookId: webhookId(webhook),
    url: '',
    secret: '',
    eventId: '',
    body: '',
    tries: 0,
  };
}

describe('webhook health', () => {
  let now: number;
  let health: WebhookHealth;

  beforeEach(() => {
    now = START;
    health = new WebhookHealth({ clock: () => now, random: () => 1 });
  });

  /** One delivery from lease to end. */
  function tryOne(webhook: number, answered: boolean): void {
    const startedAt = now;
    health.leased(jobOf(webhook));
    health.ended(jobOf(webhook), answered, startedAt);
  }

  const roomOf = (webhook: number): number =>
    health.rooms().find((it) => it.webhookId === webhookId(webhook))?.room ?? WEBHOOK_PLACES;

  test('gives a webhook its places, less those that are taken', () => {
    expect(roomOf(1)).toBe(WEBHOOK_PLACES);
    for (let n = 1; n <= WEBHOOK_PLACES; n += 1) {
      health.leased(jobOf(1));
      expect(roomOf(1)).toBe(WEBHOOK_PLACES - n);
    }
    expect(roomOf(2)).toBe(WEBHOOK_PLACES);
    health.ended(jobOf(1), true, now);
    expect(roomOf(1)).toBe(1);
  });

  test('forgets a webhook that has nothing under way (I9)', () => {
    tryOne(1, true);
    expect(health.rooms()).toEqual([]);
  });

  test('lets one delivery through after a pause when the receiver gave no answer', () => {
    tryOne(1, false);
    expect(roomOf(1)).toBe(0);
    now += 1000;
    expect(roomOf(1)).toBe(1);
    health.leased(jobOf(1));
    expect(roomOf(1)).toBe(0);
  });

  test('doubles the pause with each probe that fails, up to a minute', () => {
    const pauses = Array.from({ length: 9 }, () => {
      tryOne(1, false);
      const failedAt = now;
      while (roomOf(1) === 0) now += 500;
      return now - failedAt;
    });
    expect(pauses).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60].map((seconds) => seconds * 1000));
  });

  test('takes failures that began before the pause for one', () => {
    for (let n = 0; n < WEBHOOK_PLACES; n += 1) health.leased(jobOf(1));
    for (let n = 0; n < WEBHOOK_PLACES; n += 1) health.ended(jobOf(1), false, START);
    now += 1000;
    expect(roomOf(1)).toBe(1);
  });

  test('gives all places back with the first answer', () => {
    tryOne(1, false);
    now += 1000;
    tryOne(1, true);
    expect(roomOf(1)).toBe(WEBHOOK_PLACES);
    tryOne(1, false);
    now += 1000;
    expect(roomOf(1)).toBe(1);
  });

  test('keeps those that are away to a bounded number of places, each in its turn (I9)', () => {
    for (let webhook = 1; webhook <= 100; webhook += 1) tryOne(webhook, false);
    now += 1000;
    const turns = new Set<string>();
    for (let lease = 0; lease < 7; lease += 1) {
      const open = health.rooms().filter(({ room }) => room > 0);
      expect(open.length).toBeLessThanOrEqual(16);
      for (const { webhookId: id } of open) turns.add(id);
    }
    expect(turns.size).toBe(100);
    for (let webhook = 1; webhook <= 16; webhook += 1) health.leased(jobOf(webhook));
    expect(health.rooms().filter(({ room }) => room > 0)).toEqual([]);
  });

  test('remembers a bounded number of receivers (I9)', () => {
    for (let webhook = 1; webhook <= 1500; webhook += 1) tryOne(webhook, false);
    expect(health.rooms()).toHaveLength(1000);
    expect(roomOf(1500)).toBe(0);
  });
});
