/**
 * The webhooks with deliveries that have no end, by hops over the index from webhook to webhook: it
 * costs as many steps as there are webhooks, however many deliveries wait. Its last row is null.
 */
export const WITH_WAITING = /* sql */ `
  WITH RECURSIVE waiting (webhook_id) AS (
    (SELECT webhook_id FROM webhook_deliveries
      WHERE due_at IS NOT NULL ORDER BY webhook_id LIMIT 1)
     UNION ALL
    SELECT (SELECT d.webhook_id FROM webhook_deliveries d
             WHERE d.due_at IS NOT NULL AND d.webhook_id > waiting.webhook_id
             ORDER BY d.webhook_id LIMIT 1)
      FROM waiting WHERE waiting.webhook_id IS NOT NULL
  )`;
