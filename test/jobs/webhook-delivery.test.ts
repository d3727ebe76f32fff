import { describe, expect, test } from 'vitest';
import { Webhook } from 'standardwebhooks';
import type { DeliveryJob, TryAnswer } from '../../src/domain/webhook.ts';
import { deliver, retryMs, TRIES_MAX } from '../../src/jobs/webhook-delivery.ts';
import type { WebhookPost } from '../../src/jobs/webhook-post.ts';
import { deliveryId, webhookId } from '../http/fake-webhooks.ts';

const JOB: DeliveryJob = {
  id: deliveryId(1),
  webhookId: webhookId(1),
  url: 'https://shop.example/hooks',
  secret: `whsec_${Buffer.alloc(32, 7).toString('base64')}`,
  eventId: '00000000-0000-8000-8000-000000000001',
  body: '{"type":"order.paid","data":{"name":"Zoë"}}',
  tries: 2,
};

/** Delivers to a receiver that gives this answer. */
async function deliverTo(answer: TryAnswer, job: DeliveryJob = JOB) {
  const posts: WebhookPost[] = [];
  const outcomes: unknown[] = [];
  const now = Date.now();
  const there = await deliver(job, {
    queue: {
      delivered: async (_, given) => void outcomes.push(['delivered', given]),
      failed: async (_, given, ms) => void outcomes.push(['failed', given, ms]),
      gone: async (_, given) => void outcomes.push(['gone', given]),
    },
    send: async (post) => {
      posts.push(post);
      return answer;
    },
    clock: () => now,
    random: () => 0.5,
  });
  const [post] = posts;
  if (post === undefined || posts.length > 1) throw new Error('not one post');
  return { post, outcomes, there, now };
}

const answered = (httpStatus: number): TryAnswer => ({ httpStatus, failure: null });
const SILENCE: TryAnswer = { httpStatus: null, failure: 'ECONNREFUSED' };

describe('a delivery', () => {
  test('is signed so that the library of Standard Webhooks accepts it', async () => {
    const { post, now } = await deliverTo(answered(200));
    expect(post).toMatchObject({ url: JOB.url, body: JOB.body });
    expect(post.headers).toMatchObject({
      'content-type': 'application/json',
      'webhook-id': JOB.eventId,
      'webhook-timestamp': String(Math.floor(now / 1000)),
    });
    const receiver = new Webhook(JOB.secret);
    expect(receiver.verify(post.body, post.headers)).toEqual(JSON.parse(JOB.body));
    expect(() => receiver.verify(`${post.body} `, post.headers)).toThrow(/signature/);
    const other = { ...post.headers, 'webhook-id': 'another' };
    expect(() => receiver.verify(post.body, other)).toThrow(/signature/);
  });

  test.each([200, 204, 299])('is done with an answer of %i', async (status) => {
    const { outcomes, there } = await deliverTo(answered(status));
    expect([outcomes, there]).toEqual([[['delivered', answered(status)]], true]);
  });

  test.each([
    ['a redirect', answered(302), true],
    ['a refusal', answered(400), true],
    ['too many requests', answered(429), false],
    ['a defect', answered(500), false],
    ['silence', SILENCE, false],
  ])('is tried again after %s', async (_, answer, isThere) => {
    const { outcomes, there } = await deliverTo(answer);
    expect([outcomes, there]).toEqual([[['failed', answer, 25_000]], isThere]);
  });

  test('is dead after its last try', async () => {
    const { outcomes } = await deliverTo(SILENCE, { ...JOB, tries: TRIES_MAX - 1 });
    expect(outcomes).toEqual([['failed', SILENCE, null]]);
  });

  test('tells when the receiver is gone for good', async () => {
    const { outcomes, there } = await deliverTo(answered(410));
    expect([outcomes, there]).toEqual([[['gone', answered(410)]], true]);
  });
});

describe('the pauses between tries', () => {
  test('grow from seconds to hours, and end', () => {
    const longest = Array.from({ length: TRIES_MAX }, (_, n) => retryMs(n + 1, 1));
    expect(longest).toEqual([2e3, 10e3, 50e3, 250e3, 1250e3, 6250e3, 14_400e3, null]);
  });

  test('are anything below that: receivers that come back are not met by all at once', () => {
    expect(retryMs(4, 0)).toBe(0);
    expect(retryMs(4, 0.5)).toBe(125_000);
  });
});
