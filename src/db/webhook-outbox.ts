/**
 * From committed batches to deliveries: the only reader of `pending`, and who takes it away.
 *
 * A row stays pending until the transaction that wrote all of its deliveries commits, and a delivery
 * is unique by webhook and event, whose id is a function of what happened: whatever dies here, the
 * work is done again and changes nothing. One at a time per database, so that events are written in
 * the order of the batches.
 *
 * I9: a transaction takes a bounded number of batches and, unless the first one alone has more, of
 * orders; deliveries are written in chunks.
 */
import { randomUUIDv7 } from 'node:crypto';
import type { Pool, PoolClient } from 'pg';
import type { UserId, WebhookId } from '../domain/ids.ts';
import type { Order } from '../domain/order.ts';
import type { WebhookEvent, WebhookOutbox } from '../domain/webhook.ts';
import { inTransaction } from './transaction.ts';
import { ENTITLED, WITH_USER } from './webhook-entitled.ts';
import { EventReader } from './webhook-events.ts';
import type { Batches, CommittedEvent } from './webhook-events.ts';

/** One-key advisory lock of whoever writes deliveries. */
const EXPANSION_LOCK = 4_821_460_564_502;
/** Of one transaction. */
const BATCHES_MAX = 200;
const ORDERS_MAX = 1000;
/** Deliveries of one statement: of bodies of 20 KB, about the largest that there are, 4 MB. */
const DELIVERIES_CHUNK = 200;
/**
 * A webhook is told of batches that committed this long before it was made, if nobody was told of
 * them yet: a clock that was set back must not cost it an event.
 */
const CLOCK_SLACK_MS = 60_000;

const TRY_LOCK = /* sql */ `SELECT pg_try_advisory_xact_lock($1) AS locked`;

// From the second batch on only as long as there is room for its orders.
const PICK = /* sql */ `
  SELECT owner_id AS "ownerId", no
    FROM (SELECT owner_id, no, row_number() OVER w AS place,
                 sum(coalesce(cardinality(order_ids), 0) + coalesce(cardinality(changed_ids), 0))
                   OVER w AS orders
            FROM (SELECT * FROM outbox WHERE pending
                   ORDER BY created_at, owner_id, no LIMIT $1) oldest
          WINDOW w AS (ORDER BY created_at, owner_id, no)) counted
   WHERE place = 1 OR orders <= $2
   ORDER BY place`;

const WEBHOOKS = /* sql */ `
  SELECT w.id, w.merchant_id AS "merchantId", w.events,
         floor(extract(epoch FROM w.created_at) * 1000)::bigint AS "createdAt"
    FROM webhooks w ${WITH_USER}
   WHERE ${ENTITLED}`;

// The greatest place is that of all later ones: they may overtake each other, and nothing fails.
const INSERT = /* sql */ `
  INSERT INTO webhook_deliveries (id, webhook_id, event_id, event_type, subject_id, place, body,
                                  status, due_at, created_at, updated_at)
  SELECT e.id, e.webhook_id, e.event_id, e.event_type, e.subject_id,
         coalesce(e.place, least(32767,
           (SELECT coalesce(max(p.place), 0) FROM webhook_deliveries p
             WHERE p.webhook_id = e.webhook_id AND p.subject_id = e.subject_id
               AND p.status = 'pending')
           + row_number() OVER (PARTITION BY e.webhook_id, e.subject_id ORDER BY e.nth))),
         e.body, 'pending', now(), now(), now()
    FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::uuid[], $6::integer[],
                $7::text[])
         WITH ORDINALITY AS e (id, webhook_id, event_id, event_type, subject_id, place, body, nth)
  ON CONFLICT (webhook_id, event_id) DO NOTHING`;

const DONE = /* sql */ `
  UPDATE outbox SET pending = false
    FROM unnest($1::integer[], $2::integer[]) AS b (owner_id, no)
   WHERE outbox.owner_id = b.owner_id AND outbox.no = b.no`;

interface Receiver {
  readonly id: WebhookId;
  readonly merchantId: UserId | null;
  readonly events: readonly WebhookEvent[];
  readonly createdAt: number;
}

interface NewDelivery {
  readonly webhookId: WebhookId;
  readonly event: CommittedEvent;
  readonly body: string;
}

export interface OutboxOptions {
  /** An order as the API shows it. */
  readonly orderJson: (order: Order) => object;
}

export function createWebhookOutbox(pool: Pool, options: OutboxOptions): WebhookOutbox {
  return {
    expand: () =>
      inTransaction(pool, async (client) => {
        const { rows } = await client.query<{ locked: boolean }>(TRY_LOCK, [EXPANSION_LOCK]);
        if (rows[0]?.locked !== true) return 0;
        const picked = await client.query<Batches[number]>(PICK, [BATCHES_MAX, ORDERS_MAX]);
        const batches = picked.rows;
        if (batches.length === 0) return 0;
        const reader = new EventReader({ client, ...options });
        await expand(client, reader, batches);
        const columns = [batches.map(({ ownerId }) => ownerId), batches.map(({ no }) => no)];
        await client.query(DONE, columns);
        return batches.length;
      }),
  };
}

async function expand(client: PoolClient, reader: EventReader, batches: Batches): Promise<void> {
  const { rows } = await client.query<Receiver>(WEBHOOKS);
  const receivers = Map.groupBy(rows, ({ merchantId }) => merchantId);
  const wanted = new Set(rows.flatMap(({ events }) => events));
  for await (const events of reader.read(batches, wanted)) {
    let deliveries: NewDelivery[] = [];
    for (const event of events) {
      for (const merchantId of [null, ...event.merchants]) {
        const told = (receivers.get(merchantId) ?? []).filter((receiver) =>
          isTold(receiver, event),
        );
        if (told.length === 0) continue;
        const body = bodyOf(event, merchantId);
        deliveries.push(...told.map(({ id }) => ({ webhookId: id, event, body })));
      }
      if (deliveries.length < DELIVERIES_CHUNK) continue;
      await insert(client, deliveries);
      deliveries = [];
    }
    if (deliveries.length > 0) await insert(client, deliveries);
  }
}

function isTold(receiver: Receiver, { event, committedAt }: CommittedEvent): boolean {
  return receiver.events.includes(event) && receiver.createdAt <= committedAt + CLOCK_SLACK_MS;
}

/** As Standard Webhooks has it. */
function bodyOf({ event, at, dataFor }: CommittedEvent, merchantId: UserId | null): string {
  const timestamp = new Date(at).toISOString();
  return JSON.stringify({ type: event, timestamp, data: dataFor(merchantId) });
}

async function insert(client: PoolClient, deliveries: readonly NewDelivery[]): Promise<void> {
  await client.query(INSERT, [
    deliveries.map(() => randomUUIDv7()),
    deliveries.map(({ webhookId }) => webhookId),
    deliveries.map(({ event }) => event.id),
    deliveries.map(({ event }) => event.event),
    deliveries.map(({ event }) => event.subjectId),
    deliveries.map(({ event }) => event.place),
    deliveries.map(({ body }) => body),
  ]);
}
