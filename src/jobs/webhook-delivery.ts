/**
 * One try of one delivery: signed, sent, and its outcome written down. Losing the process between
 * the two repeats the try, so a receiver knows a repeat by `webhook-id`, which never changes.
 *
 * Signature and headers: Standard Webhooks, https://www.standardwebhooks.com.
 */
import { Webhook } from 'standardwebhooks';
import type { DeliveryJob, DeliveryQueue, TryAnswer } from '../domain/webhook.ts';
import type { SendPost } from './webhook-post.ts';

/** Then a delivery is dead. With the pauses between them at most 6.2 hours, 3.1 on average. */
export const TRIES_MAX = 8;
/** The pause after the n-th try is anything up to base * factor ^ (n - 1): full jitter. */
const RETRY_BASE_MS = 2000;
const RETRY_FACTOR = 5;
const RETRY_MS_MAX = 4 * 3_600_000;

const USER_AGENT = 'Hedonify-Webhooks/1';
const GONE = 410;
const TOO_MANY_REQUESTS = 429;

export interface DeliveryOptions {
  readonly queue: Pick<DeliveryQueue, 'delivered' | 'failed' | 'gone'>;
  readonly send: SendPost;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  /** 0 to 1. */
  readonly random: () => number;
}

/** Resolves with whether the receiver is there, whatever it thinks of this event. */
export async function deliver(job: DeliveryJob, options: DeliveryOptions): Promise<boolean> {
  const { queue, send, clock, random } = options;
  const answer = await send(signed(job, clock()));
  const status = answer.httpStatus ?? 0;
  if (status >= 200 && status < 300) await queue.delivered(job, answer);
  else if (status === GONE) await queue.gone(job, answer);
  else await queue.failed(job, answer, retryMs(job.tries + 1, random()));
  return isThere(answer);
}

/** Milliseconds until the next try after this many; null = none. */
export function retryMs(tries: number, random: number): number | null {
  if (tries >= TRIES_MAX) return null;
  return random * Math.min(RETRY_BASE_MS * RETRY_FACTOR ** (tries - 1), RETRY_MS_MAX);
}

function isThere({ httpStatus }: TryAnswer): boolean {
  return httpStatus !== null && httpStatus < 500 && httpStatus !== TOO_MANY_REQUESTS;
}

/** The time is that of the try: receivers refuse what is older than five minutes. */
function signed({ url, secret, eventId, body }: DeliveryJob, now: number) {
  const at = new Date(now);
  return {
    url,
    body,
    headers: {
      'content-type': 'application/json',
      'user-agent': USER_AGENT,
      'webhook-id': eventId,
      'webhook-timestamp': String(Math.floor(now / 1000)),
      'webhook-signature': new Webhook(secret).sign(eventId, at, body),
    },
  };
}
