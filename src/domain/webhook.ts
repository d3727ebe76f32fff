/**
 * Webhooks: what other systems are told of orders and products. At least once, under an id that is
 * the same in every try, and of one order in the order in which it happened. Of one product nearly so:
 * batches that committed at the same moment may be told the other way round.
 */
import type { DeliveryId, OrderId, ProductId, UserId, WebhookId } from './ids.ts';
import { ORDER_STATUSES } from './order.ts';
import type { OrderStatus } from './order.ts';
import type { KeyReused } from './outcome.ts';
import type { Page, PageRequest } from './ports.ts';

export const WEBHOOK_EVENTS = [
  'order.created',
  'order.paid',
  'order.cancelled',
  'order.expired',
  'order.shipped',
  'order.completed',
  'product.sold_out',
  'product.restocked',
] as const;
export type WebhookEvent = (typeof WEBHOOK_EVENTS)[number];

/** The event of an order that reached a status. */
export const ORDER_EVENTS: Readonly<Record<OrderStatus, WebhookEvent>> = {
  WAITING_PAYMENT: 'order.created',
  PAID: 'order.paid',
  SHIPPING: 'order.shipped',
  COMPLETED: 'order.completed',
  EXPIRED: 'order.expired',
  CANCELLED: 'order.cancelled',
};

export const WEBHOOKS_PER_USER_MAX = 20;
export const WEBHOOK_URL_CHARS_MAX = 2048;

export interface Webhook {
  readonly id: WebhookId;
  readonly userId: UserId;
  /** Whose orders and products it is told of; null = everybody's. */
  readonly merchantId: UserId | null;
  readonly url: string;
  readonly events: readonly WebhookEvent[];
  /** Nothing is sent to one that is not. */
  readonly active: boolean;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  readonly updatedAt: number;
}

export const DELIVERY_STATUSES = ['pending', 'delivered', 'dead'] as const;
export type DeliveryStatus = (typeof DELIVERY_STATUSES)[number];

/** One event on its way to one webhook. */
export interface Delivery {
  readonly id: DeliveryId;
  /** The same in every try, and for every webhook that is told of the event. */
  readonly eventId: string;
  readonly event: WebhookEvent;
  readonly subjectId: OrderId | ProductId;
  readonly status: DeliveryStatus;
  readonly tries: number;
  /** Milliseconds since the epoch; null = no more. */
  readonly nextTryAt: number | null;
  /** Of the last try: the answer's status, or why there was none. */
  readonly httpStatus: number | null;
  readonly failure: string | null;
  readonly createdAt: number;
  readonly updatedAt: number;
}

/** Whose webhook, and which. Somebody else's is none. */
export interface WebhookOfUser {
  readonly userId: UserId;
  readonly webhookId: WebhookId;
}

export interface WebhookChanges {
  readonly url?: string | undefined;
  readonly events?: readonly WebhookEvent[] | undefined;
  readonly active?: boolean | undefined;
}

export type CreateWebhookOutcome =
  /** `secret`: the key of the signatures, told only here. */
  | {
      readonly type: 'created';
      readonly webhook: Webhook;
      readonly secret: string;
      readonly replayed: boolean;
    }
  | { readonly type: 'refused'; readonly code: 'too-many-webhooks' }
  | KeyReused;

export type ReplayOutcome =
  /** It is due now. */
  | { readonly type: 'due'; readonly delivery: Delivery; readonly replayed: boolean }
  | {
      readonly type: 'refused';
      readonly code: 'webhook-not-found' | 'delivery-not-found' | 'webhook-inactive';
    }
  | KeyReused;

/** Errors are AppError `database-unavailable` or, of a change, `outcome-unknown`. */
export interface Webhooks {
  createWebhook(request: {
    readonly userId: UserId;
    readonly merchantId: UserId | null;
    readonly idempotencyKey: string | null;
    readonly url: string;
    readonly events: readonly WebhookEvent[];
  }): Promise<CreateWebhookOutcome>;
  findWebhook(webhook: WebhookOfUser): Promise<Webhook | undefined>;
  listWebhooks(userId: UserId, page: PageRequest): Promise<Page<Webhook>>;
  /** What is absent stays. The webhook as it now is, or undefined when there is none. */
  changeWebhook(webhook: WebhookOfUser, changes: WebhookChanges): Promise<Webhook | undefined>;
  /** False when there is none. */
  deleteWebhook(webhook: WebhookOfUser): Promise<boolean>;
  /** Undefined when there is no such webhook. `status`: null = all. */
  listDeliveries(
    webhook: WebhookOfUser,
    status: DeliveryStatus | null,
    page: PageRequest,
  ): Promise<Page<Delivery> | undefined>;
  /** Sends it again, whatever became of it, with all of its tries before it. */
  replayDelivery(
    webhook: WebhookOfUser,
    request: { readonly deliveryId: DeliveryId; readonly idempotencyKey: string | null },
  ): Promise<ReplayOutcome>;
}

/** Where deliveries may go. A name is looked up when something is sent to it, and checked then. */
export interface WebhookTargets {
  /** Why nothing may be sent to the URL, to complete the sentence "it ..."; undefined = it may. */
  refusal(url: string): string | undefined;
}

/** A delivery whose next try is due. */
export interface DeliveryJob {
  readonly id: DeliveryId;
  readonly webhookId: WebhookId;
  readonly url: string;
  /** Never logged. */
  readonly secret: string;
  readonly eventId: string;
  /** Exactly what is signed and sent. */
  readonly body: string;
  /** Before this one. */
  readonly tries: number;
}

/** What came of a try. */
export type TryAnswer =
  | { readonly httpStatus: number; readonly failure: null }
  | { readonly httpStatus: null; readonly failure: string };

/** How many deliveries of one webhook may be leased now. */
export interface WebhookRoom {
  readonly webhookId: WebhookId;
  readonly room: number;
}

/** Deliveries in PostgreSQL, as work. Errors are AppError `database-unavailable`. */
export interface DeliveryQueue {
  /**
   * Takes at most `max` that are due, in turn from every webhook that has room, the longest due
   * first; none while an earlier event of the same order or product is pending.
   */
  lease(request: {
    readonly max: number;
    /** Of each webhook that is not in `rooms`. */
    readonly roomEach: number;
    readonly rooms: readonly WebhookRoom[];
  }): Promise<readonly DeliveryJob[]>;
  /** Makes what is leased due again. */
  reclaim(): Promise<void>;
  delivered(job: DeliveryJob, answer: TryAnswer): Promise<void>;
  /** `retryMs`: milliseconds until the next try; null = it is dead. */
  failed(job: DeliveryJob, answer: TryAnswer, retryMs: number | null): Promise<void>;
  /** The receiver wants nothing any more: the webhook is made inactive. */
  gone(job: DeliveryJob, answer: TryAnswer): Promise<void>;
}

/** Turns what committed into deliveries. */
export interface WebhookOutbox {
  /** Resolves with the number of committed batches it dealt with, whether they made any or not. */
  expand(): Promise<number>;
}

/** Ends and deletes what is over. */
export interface WebhookSweep {
  /** One chunk. Resolves with whether there may be more. */
  sweep(): Promise<boolean>;
}

/** The place of an order's event among all of that order. */
export function placeOf(status: OrderStatus): number {
  return ORDER_STATUSES.indexOf(status);
}
