/**
 * Webhooks and their deliveries as their users see and change them.
 *
 * A webhook may have more deliveries than one transaction can delete in its time. So a deleted one
 * is at first a row that is told of no event (`events` is empty, which no user can ask for): it is
 * none for everybody, and webhook-sweep.ts takes its deliveries away in chunks, the row last.
 */
import { randomBytes, randomUUIDv7 } from 'node:crypto';
import type { Pool } from 'pg';
import type { UserId } from '../domain/ids.ts';
import type { PageRequest } from '../domain/ports.ts';
import { WEBHOOKS_PER_USER_MAX } from '../domain/webhook.ts';
import type {
  CreateWebhookOutcome,
  Delivery,
  DeliveryStatus,
  ReplayOutcome,
  Webhook,
  WebhookChanges,
  WebhookOfUser,
  Webhooks,
} from '../domain/webhook.ts';
import { pageValues, toMs, toPage } from './page.ts';
import { queryRows } from './pool.ts';
import { changeRows, effectKey, onceUnderKey } from './transaction.ts';
import type { Attempt } from './transaction.ts';

const COLUMNS = /* sql */ `
  id, user_id AS "userId", merchant_id AS "merchantId", url, events, active,
  (extract(epoch FROM created_at) * 1000000)::bigint AS "createdAtUs",
  floor(extract(epoch FROM updated_at) * 1000)::bigint AS "updatedAt"`;

/** Of the two-key advisory locks; the second key is of the user. */
const CREATION_LOCKS = 1_214_605_646;

// Whoever creates one waits for the others of the same user, so that all of them are counted.
const LOCK = /* sql */ `SELECT pg_advisory_xact_lock($1, hashtext($2::text))`;
const COUNT = /* sql */ `
  SELECT count(*) AS found FROM webhooks WHERE user_id = $1 AND events <> '{}'`;
const CREATE = /* sql */ `
  INSERT INTO webhooks (id, user_id, merchant_id, url, events, secret, active, created_at,
                        updated_at)
  VALUES ($1, $2, $3, $4, $5, $6, true, clock_timestamp(), clock_timestamp())
  RETURNING ${COLUMNS}`;

const FIND = /* sql */ `
  SELECT ${COLUMNS} FROM webhooks WHERE user_id = $1 AND id = $2 AND events <> '{}'`;

const LIST = /* sql */ `
  SELECT ${COLUMNS}
    FROM webhooks
   WHERE user_id = $4 AND events <> '{}'
     AND (created_at, id) <
         (timestamptz 'epoch' + $1::double precision * interval '1 microsecond', $2::uuid)
   ORDER BY created_at DESC, id DESC
   LIMIT $3`;

const CHANGE = /* sql */ `
  UPDATE webhooks
     SET url = coalesce($3, url), events = coalesce($4, events), active = coalesce($5, active),
         updated_at = clock_timestamp()
   WHERE user_id = $1 AND id = $2 AND events <> '{}'
  RETURNING ${COLUMNS}`;

const DELETE = /* sql */ `
  UPDATE webhooks SET events = '{}', active = false, updated_at = clock_timestamp()
   WHERE user_id = $1 AND id = $2 AND events <> '{}'
  RETURNING id`;

const DELIVERY_COLUMNS = /* sql */ `
  id, event_id AS "eventId", event_type AS event, subject_id AS "subjectId", status, tries,
  floor(extract(epoch FROM due_at) * 1000)::bigint AS "nextTryAt", http_status AS "httpStatus",
  failure, (extract(epoch FROM created_at) * 1000000)::bigint AS "createdAtUs",
  floor(extract(epoch FROM updated_at) * 1000)::bigint AS "updatedAt"`;

// Sent unnamed, so that it is planned with its values (see product-reader.ts).
const LIST_DELIVERIES = /* sql */ `
  SELECT ${DELIVERY_COLUMNS}
    FROM webhook_deliveries
   WHERE webhook_id = $4 AND ($5::delivery_status IS NULL OR status = $5)
     AND (created_at, id) <
         (timestamptz 'epoch' + $1::double precision * interval '1 microsecond', $2::uuid)
   ORDER BY created_at DESC, id DESC
   LIMIT $3`;

// One that is being sent is due already, and sending it twice side by side is no use to anybody.
const REPLAY = /* sql */ `
  UPDATE webhook_deliveries
     SET status = 'pending', tries = CASE WHEN leased THEN tries ELSE 0 END,
         due_at = CASE WHEN leased THEN due_at ELSE clock_timestamp() END,
         updated_at = clock_timestamp()
   WHERE webhook_id = $1 AND id = $2
  RETURNING ${DELIVERY_COLUMNS}`;

interface WebhookRow extends Omit<Webhook, 'createdAt'> {
  readonly createdAtUs: number;
}

interface DeliveryRow extends Omit<Delivery, 'createdAt'> {
  readonly createdAtUs: number;
}

interface Created {
  readonly webhook: Webhook;
  readonly secret: string;
}

export function createWebhookStore(pool: Pool): Webhooks {
  return new WebhookStore(pool);
}

class WebhookStore implements Webhooks {
  readonly #pool: Pool;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  async createWebhook(
    request: Parameters<Webhooks['createWebhook']>[0],
  ): Promise<CreateWebhookOutcome> {
    const { userId, merchantId, idempotencyKey, url, events } = request;
    const text = ['create-webhook', merchantId, url, events.toSorted()];
    const key = effectKey(userId, idempotencyKey, text);
    const done = await onceUnderKey(
      this.#pool,
      key,
      async (client): Promise<Attempt<Created, 'too-many-webhooks'>> => {
        await client.query(LOCK, [CREATION_LOCKS, userId]);
        const counted = await client.query<{ found: number }>(COUNT, [userId]);
        if ((counted.rows[0]?.found ?? 0) >= WEBHOOKS_PER_USER_MAX) {
          return { refused: 'too-many-webhooks' };
        }
        const secret = makeSecret();
        const values = [randomUUIDv7(), userId, merchantId, url, events, secret];
        const { rows } = await client.query<WebhookRow>(CREATE, values);
        return { effect: { webhook: toWebhook(only(rows)), secret } };
      },
    );
    switch (done.type) {
      case 'done':
        return { type: 'created', ...done.result, replayed: done.replayed };
      case 'refused':
        return { type: 'refused', code: done.refused };
      default:
        return done;
    }
  }

  async findWebhook({ userId, webhookId }: WebhookOfUser): Promise<Webhook | undefined> {
    const values = [userId, webhookId];
    return first(await queryRows<WebhookRow>(this.#pool, { text: FIND, values }));
  }

  async listWebhooks(userId: UserId, page: PageRequest) {
    const values = [...pageValues(page), userId];
    const rows = await queryRows<WebhookRow>(this.#pool, { text: LIST, values });
    return toPage(rows, page.limit, toWebhook);
  }

  async changeWebhook(
    { userId, webhookId }: WebhookOfUser,
    { url, events, active }: WebhookChanges,
  ): Promise<Webhook | undefined> {
    const values = [userId, webhookId, url ?? null, events ?? null, active ?? null];
    return first(await changeRows<WebhookRow>(this.#pool, { text: CHANGE, values }));
  }

  async deleteWebhook({ userId, webhookId }: WebhookOfUser): Promise<boolean> {
    const values = [userId, webhookId];
    return (await changeRows(this.#pool, { text: DELETE, values })).length > 0;
  }

  async listDeliveries(webhook: WebhookOfUser, status: DeliveryStatus | null, page: PageRequest) {
    if ((await this.findWebhook(webhook)) === undefined) return undefined;
    const values = [...pageValues(page), webhook.webhookId, status];
    const rows = await queryRows<DeliveryRow>(this.#pool, { text: LIST_DELIVERIES, values });
    return toPage(rows, page.limit, toDelivery);
  }

  async replayDelivery(
    { userId, webhookId }: WebhookOfUser,
    { deliveryId, idempotencyKey }: Parameters<Webhooks['replayDelivery']>[1],
  ): Promise<ReplayOutcome> {
    const key = effectKey(userId, idempotencyKey, ['replay-delivery', webhookId, deliveryId]);
    const done = await onceUnderKey(
      this.#pool,
      key,
      async (client): Promise<Attempt<Delivery, (ReplayOutcome & { type: 'refused' })['code']>> => {
        const found = await client.query<WebhookRow>(FIND, [userId, webhookId]);
        const webhook = first(found.rows);
        if (webhook === undefined) return { refused: 'webhook-not-found' };
        if (!webhook.active) return { refused: 'webhook-inactive' };
        const { rows } = await client.query<DeliveryRow>(REPLAY, [webhookId, deliveryId]);
        const [row] = rows;
        return row === undefined ? { refused: 'delivery-not-found' } : { effect: toDelivery(row) };
      },
    );
    switch (done.type) {
      case 'done':
        return { type: 'due', delivery: done.result, replayed: done.replayed };
      case 'refused':
        return { type: 'refused', code: done.refused };
      default:
        return done;
    }
  }
}

/** 256 bits, as Standard Webhooks writes a key. */
function makeSecret(): string {
  return `whsec_${randomBytes(32).toString('base64')}`;
}

function only<T>(rows: readonly T[]): T {
  const [row] = rows;
  if (row === undefined) throw new Error('the statement returned no row');
  return row;
}

function first(rows: readonly WebhookRow[]): Webhook | undefined {
  const [row] = rows;
  return row === undefined ? undefined : toWebhook(row);
}

function toWebhook({ createdAtUs, ...row }: WebhookRow): Webhook {
  return { ...row, createdAt: toMs(createdAtUs) };
}

function toDelivery({ createdAtUs, ...row }: DeliveryRow): Delivery {
  return { ...row, createdAt: toMs(createdAtUs) };
}
