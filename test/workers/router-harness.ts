/** A router whose shards are the test: channels in place of threads, answers when the test says so. */
import { setImmediate as endOfTurn } from 'node:timers/promises';
import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';
import type { MessagePort } from 'node:worker_threads';
import { afterEach, beforeEach } from 'vitest';
import { parseProductId, parseUserId } from '../../src/domain/ids.ts';
import type { ProductId, UserId } from '../../src/domain/ids.ts';
import type { ChangeStatus, ChangeStock, PlaceOrder } from '../../src/domain/ports.ts';
import type { Answer, Command, ToRouter, ToShard } from '../../src/domain/wire.ts';
import { effectId } from '../../src/db/effect-id.ts';
import { Router } from '../../src/workers/router.ts';
import type { RouterOptions } from '../../src/workers/router.ts';

const SHARDS = 2;
export const PATIENT: RouterOptions = {
  shards: SHARDS,
  requestTimeoutMs: 10_000,
  waitingMax: 1000,
  onImpediment: () => undefined,
};

export const customer = userId('0b9e1f5c-6a52-4c7e-9d37-3f3a4d5b6c70');
/** Owned by shard 0, and by shard 1. */
export const even = productId('00000000-0000-7000-8000-000000000002');
export const even2 = productId('00000000-0000-7000-8000-000000000004');
export const odd = productId('00000000-0000-7000-8000-000000000001');

function userId(text: string): UserId {
  const id = parseUserId(text);
  if (id === undefined) throw new Error(`${text} is no user id`);
  return id;
}

function productId(text: string): ProductId {
  const id = parseProductId(text);
  if (id === undefined) throw new Error(`${text} is no product id`);
  return id;
}

export function order(overrides: Partial<PlaceOrder> = {}): PlaceOrder {
  return {
    userId: customer,
    idempotencyKey: null,
    lines: [{ productId: even, quantity: 1 }],
    reference: null,
    metadata: null,
    cart: null,
    traceparent: null,
    ...overrides,
  };
}

export function change(overrides: Partial<ChangeStock> = {}): ChangeStock {
  return {
    author: customer,
    idempotencyKey: null,
    productId: even,
    delta: 5,
    reason: 'delivery',
    traceparent: null,
    ...overrides,
  };
}

export function cancel(overrides: Partial<ChangeStatus> = {}): ChangeStatus {
  return {
    author: customer,
    idempotencyKey: null,
    orderId: effectId(customer, 'k'),
    productIds: [even],
    from: ['WAITING_PAYMENT'],
    to: 'CANCELLED',
    detail: null,
    reason: null,
    traceparent: null,
    ...overrides,
  };
}

let channels: readonly MessageChannel[];

beforeEach(() => {
  channels = Array.from({ length: SHARDS }, () => new MessageChannel());
});

afterEach(() => {
  for (const { port1, port2 } of channels) {
    port1.close();
    port2.close();
  }
});

export function openRouter(options: Partial<RouterOptions> = {}): Router {
  const router = new Router({ ...PATIENT, ...options });
  for (const [shard, { port1 }] of channels.entries()) router.connect(shard, port1);
  router.open();
  return router;
}

function shardPort(shard: number): MessagePort {
  const channel = channels[shard];
  if (channel === undefined) throw new Error(`there is no shard ${shard}`);
  return channel.port2;
}

/** The groups that have been posted to a shard and not been received yet. */
export function groups(shard: number): (readonly Command[])[] {
  const found: (readonly Command[])[] = [];
  for (;;) {
    const received: { readonly message: ToShard } | undefined = receiveMessageOnPort(
      shardPort(shard),
    );
    if (received === undefined) return found;
    found.push(received.message.commands);
  }
}

export async function commandsAtEndOfTurn(shard: number): Promise<readonly Command[]> {
  await endOfTurn();
  return groups(shard).flat();
}

export function answer(shard: number, answers: readonly Answer[]): void {
  const message: ToRouter = { type: 'answers', answers };
  shardPort(shard).postMessage(message);
}

export function accepted(n: number, unitPrices: readonly number[] = [1000]): Answer {
  const lines = unitPrices.map((unitPrice, i) => ({
    name: `Product ${i}`,
    unitPrice,
    sequence: i + 1,
  }));
  const decided = { currency: 'USD', createdAt: 1, expiresAt: 2, lines };
  return { n, type: 'accepted', replayed: false, order: decided };
}

/** Ends shard 0 and connects the next owner. */
export function replaceShard(router: Router): void {
  router.disconnect(0);
  const next = new MessageChannel();
  channels = [next, ...channels.slice(1)];
  router.connect(0, next.port1);
}
