/**
 * How much is waiting to be done. Every count ends at a bound and follows an index that holds nothing
 * but what waits, so that looking at a backlog costs the same however long it is.
 */
import type { Pool } from 'pg';
import { BACKLOG_COUNT_MAX } from '../domain/backlog.ts';
import type { Backlog, BacklogReader } from '../domain/backlog.ts';
import { queryRows } from './pool.ts';
import { WITH_WAITING } from './webhook-waiting.ts';

// What is due of a webhook comes first in its part of the index, and what is not due yet of a receiver
// that is away is not looked at.
const READ = /* sql */ `${WITH_WAITING}
  SELECT (SELECT count(*) FROM (SELECT FROM outbox WHERE pending LIMIT $1) pending)
           AS "outboxBatches",
         (SELECT greatest(0, extract(epoch FROM now() - created_at) * 1000)::double precision
            FROM outbox WHERE pending ORDER BY created_at LIMIT 1) AS "outboxAgeMs",
         (SELECT count(*) FROM (SELECT FROM payments WHERE due_at <= now() LIMIT $1) due)
           AS "paymentsDue",
         (SELECT count(*)
            FROM (SELECT FROM waiting
                   CROSS JOIN LATERAL (
                         SELECT FROM webhook_deliveries
                          WHERE webhook_id = waiting.webhook_id AND due_at <= now()
                          ORDER BY due_at LIMIT $1) of_webhook
                   LIMIT $1) due) AS "webhooksDue"`;

interface BacklogRow extends Pick<Backlog, 'outboxBatches' | 'outboxAgeMs'> {
  readonly paymentsDue: number;
  readonly webhooksDue: number;
}

export function createBacklogReader(pool: Pool): BacklogReader {
  return {
    async readBacklog() {
      const [row] = await queryRows<BacklogRow>(pool, { text: READ, values: [BACKLOG_COUNT_MAX] });
      if (row === undefined) throw new Error('a SELECT without FROM has one row');
      const { outboxBatches, outboxAgeMs, paymentsDue, webhooksDue } = row;
      return {
        outboxBatches,
        outboxAgeMs,
        jobsDue: { payments: paymentsDue, webhooks: webhooksDue },
      };
    },
  };
}
