/**
 * The webhooks that anything is made for or sent to, as SQL over `webhooks w` and what WITH_USER
 * joins to it. A user who lost the role keeps the webhook and is told of nothing any more; one
 * without a row here has a role that another service signed (domain/user.ts).
 */
export const WITH_USER = /* sql */ `LEFT JOIN users u ON u.id = w.user_id`;
export const ENTITLED = /* sql */ `
  w.active AND coalesce(u.role = 'admin' OR (u.role = 'merchant' AND w.merchant_id IS NOT NULL),
                        true)`;
