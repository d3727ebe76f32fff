/**
 * Deliveries as work: leases, and what came of a try. The rows are the queue, so a backlog of any
 * length costs memory nowhere, and every statement looks at a bounded number of rows per webhook.
 *
 * Invariant: a delivery is not leased while one of the same webhook and subject with a lower place
 * is pending. One that is due but has to wait is moved behind what it waits for, so that a receiver
 * who refuses one event of each order cannot fill the head of the queue with rows that wait. The end
 * of a delivery calls the next one of its subject. It may miss one that a lease is just moving, so
 * what waits for a delivery under way is moved by a moment only.
 */
import type { Pool } from 'pg';
import type { DeliveryJob, DeliveryQueue, TryAnswer } from '../domain/webhook.ts';
import { queryRows } from './pool.ts';
import { ENTITLED, WITH_USER } from './webhook-entitled.ts';
import { WITH_WAITING } from './webhook-waiting.ts';

/** Longer than a delivery can wait for its turn in the process and then take. */
const LEASE_MS = 60_000;
/** Due rows of one webhook that one lease looks at. */
const SCAN_MAX = 200;
/** For a delivery that waits for one which is due or under way. */
const RECHECK_MS = 500;

// Like the others sent unnamed: a plan that was made and kept while the table was small would go on
// reading it whole.
const LEASE = /* sql */ `${WITH_WAITING}, turn AS (
    SELECT w.id, w.url, w.secret, coalesce(r.room, $2) AS room
      FROM waiting JOIN webhooks w ON w.id = waiting.webhook_id
      LEFT JOIN unnest($3::uuid[], $4::integer[]) AS r (webhook_id, room) ON r.webhook_id = w.id
      ${WITH_USER}
     WHERE ${ENTITLED} AND coalesce(r.room, $2) > 0
  ), due AS (
    SELECT d.id, d.webhook_id, d.due_at, before.id IS NOT NULL AS waits,
           CASE WHEN NOT before.leased THEN before.due_at END AS before_due_at
      FROM turn
     CROSS JOIN LATERAL (
           SELECT id, webhook_id, subject_id, place, due_at FROM webhook_deliveries
            WHERE webhook_id = turn.id AND due_at <= now()
            ORDER BY due_at LIMIT ${SCAN_MAX} FOR UPDATE SKIP LOCKED) d
      LEFT JOIN LATERAL (
           SELECT b.id, b.due_at, b.leased FROM webhook_deliveries b
            WHERE b.webhook_id = d.webhook_id AND b.subject_id = d.subject_id
              AND b.status = 'pending' AND b.place < d.place
            ORDER BY b.place LIMIT 1) before ON true
  ), moved AS (
    UPDATE webhook_deliveries d
       SET due_at = greatest(due.before_due_at, now() + $5 * interval '1 ms')
      FROM due WHERE due.waits AND d.id = due.id
  ), ranked AS (
    SELECT due.id, due.webhook_id, due.due_at,
           row_number() OVER (PARTITION BY due.webhook_id ORDER BY due.due_at) AS rank
      FROM due WHERE NOT due.waits
  ), chosen AS (
    SELECT ranked.id, turn.url, turn.secret
      FROM ranked JOIN turn ON turn.id = ranked.webhook_id
     WHERE ranked.rank <= turn.room
     ORDER BY ranked.rank, ranked.due_at LIMIT $1
  )
  UPDATE webhook_deliveries d
     SET due_at = now() + $6 * interval '1 ms', leased = true
    FROM chosen WHERE d.id = chosen.id
  RETURNING d.id, d.webhook_id AS "webhookId", chosen.url, chosen.secret,
            d.event_id AS "eventId", d.body, d.tries`;

const RECLAIM = /* sql */ `
  UPDATE webhook_deliveries SET due_at = now(), leased = false
   WHERE leased AND due_at > now() AND due_at <= now() + $1 * interval '1 ms'`;

// Whatever was said of it meanwhile: a delivery that arrived is delivered. One that failed is left
// to whoever ended it meanwhile.
const END = /* sql */ `
  WITH ended AS (
    UPDATE webhook_deliveries
       SET status = $2::delivery_status, tries = tries + 1, due_at = NULL, leased = false, http_status = $3,
           failure = $4, updated_at = now()
     WHERE id = $1 AND (status = 'pending' OR $2::delivery_status = 'delivered')
    RETURNING webhook_id, subject_id, place
  )
  UPDATE webhook_deliveries d SET due_at = now()
    FROM ended
   CROSS JOIN LATERAL (
         SELECT n.id FROM webhook_deliveries n
          WHERE n.webhook_id = ended.webhook_id AND n.subject_id = ended.subject_id
            AND n.status = 'pending' AND n.place > ended.place
          ORDER BY n.place LIMIT 1) next
   WHERE d.id = next.id AND d.due_at > now() AND NOT d.leased`;

const RETRY = /* sql */ `
  UPDATE webhook_deliveries
     SET tries = tries + 1, due_at = now() + $2 * interval '1 ms', leased = false,
         http_status = $3, failure = $4, updated_at = now()
   WHERE id = $1 AND status = 'pending'`;

const DEACTIVATE = /* sql */ `
  UPDATE webhooks SET active = false, updated_at = clock_timestamp() WHERE id = $1 AND active`;

export function createDeliveryQueue(pool: Pool): DeliveryQueue {
  return new PostgresDeliveryQueue(pool);
}

class PostgresDeliveryQueue implements DeliveryQueue {
  readonly #pool: Pool;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  async lease({ max, roomEach, rooms }: Parameters<DeliveryQueue['lease']>[0]) {
    const webhookIds = rooms.map(({ webhookId }) => webhookId);
    const places = rooms.map(({ room }) => room);
    const values = [max, roomEach, webhookIds, places, RECHECK_MS, LEASE_MS];
    return queryRows<DeliveryJob>(this.#pool, { text: LEASE, values });
  }

  async reclaim(): Promise<void> {
    await queryRows(this.#pool, { text: RECLAIM, values: [LEASE_MS] });
  }

  delivered(job: DeliveryJob, answer: TryAnswer): Promise<void> {
    return this.#end(job, 'delivered', answer);
  }

  async failed(job: DeliveryJob, answer: TryAnswer, retryMs: number | null): Promise<void> {
    if (retryMs === null) return this.#end(job, 'dead', answer);
    const values = [job.id, retryMs, answer.httpStatus, answer.failure];
    await queryRows(this.#pool, { text: RETRY, values });
  }

  async gone(job: DeliveryJob, answer: TryAnswer): Promise<void> {
    await queryRows(this.#pool, { text: DEACTIVATE, values: [job.webhookId] });
    await this.#end(job, 'dead', answer);
  }

  async #end(job: DeliveryJob, status: 'delivered' | 'dead', answer: TryAnswer): Promise<void> {
    const values = [job.id, status, answer.httpStatus, answer.failure];
    await queryRows(this.#pool, { text: END, values });
  }
}
