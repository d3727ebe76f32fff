/**
 * What becomes of deliveries in the end, in chunks that each fit into one statement's time: pending
 * ones of a webhook that is not active, or that nobody got round to for days, are dead; what is old
 * is deleted, and so is everything of a deleted webhook (webhook-store.ts), its row last.
 *
 * Concurrent sweeps skip each other's rows, and each chunk starts anew from the rows.
 */
import type { Pool } from 'pg';
import type { WebhookSweep } from '../domain/webhook.ts';
import { queryRows } from './pool.ts';

/** Rows of one statement. */
const CHUNK_ROWS = 1000;

/** Days that a delivery is kept, by what became of it. */
const DELIVERED_DAYS = 7;
const DEAD_DAYS = 30;
/**
 * Days that a pending one may stand untried: a receiver that is away for longer is tried less and
 * less often, and most of its backlog never, so that tries alone would not end it.
 */
const PENDING_DAYS = 3;

// The range on created_at is what the index serves; a replayed one may be older than that.
const KILL = /* sql */ `
  UPDATE webhook_deliveries
     SET status = 'dead', due_at = NULL, leased = false, updated_at = now(),
         failure = 'given up: the webhook is not active, or was away for too long'
   WHERE id IN (
         SELECT d.id
           FROM webhooks w
          CROSS JOIN LATERAL (
                SELECT id FROM webhook_deliveries
                 WHERE webhook_id = w.id AND status = 'pending'
                   AND created_at < CASE WHEN w.active THEN now() - $2 * interval '1 day'
                                         ELSE 'infinity' END
                   AND (NOT w.active OR updated_at < now() - $2 * interval '1 day')
                 ORDER BY created_at LIMIT $1 FOR UPDATE SKIP LOCKED) d
          WHERE w.events <> '{}'
          LIMIT $1)
  RETURNING id`;

const DELETE = /* sql */ `
  DELETE FROM webhook_deliveries
   WHERE id IN (
         SELECT d.id
           FROM webhooks w
          CROSS JOIN (VALUES ('delivered'::delivery_status, $2 * interval '1 day'),
                             ('dead', $3 * interval '1 day'), ('pending', NULL)) kept (status, age)
          CROSS JOIN LATERAL (
                SELECT id FROM webhook_deliveries
                 WHERE webhook_id = w.id AND status = kept.status
                   AND created_at < CASE WHEN w.events = '{}' THEN 'infinity'
                                         ELSE now() - kept.age END
                 ORDER BY created_at LIMIT $1 FOR UPDATE SKIP LOCKED) d
          LIMIT $1)
  RETURNING id`;

const DELETE_WEBHOOKS = /* sql */ `
  DELETE FROM webhooks w
   WHERE events = '{}' AND NOT EXISTS (SELECT FROM webhook_deliveries WHERE webhook_id = w.id)`;

export function createWebhookSweep(pool: Pool): WebhookSweep {
  return {
    async sweep() {
      const killed = await queryRows(pool, { text: KILL, values: [CHUNK_ROWS, PENDING_DAYS] });
      const deleted = await queryRows(pool, {
        text: DELETE,
        values: [CHUNK_ROWS, DELIVERED_DAYS, DEAD_DAYS],
      });
      await queryRows(pool, { text: DELETE_WEBHOOKS });
      return killed.length >= CHUNK_ROWS || deleted.length >= CHUNK_ROWS;
    },
  };
}
