import type { ErrorCode } from '../domain/errors.ts';

/** The one place where a code of the registry becomes an HTTP status. */
export const PROBLEM_STATUS = {
  validation: 400,
  unauthenticated: 401,
  forbidden: 403,
  'not-found': 404,
  'precondition-failed': 412,
  'body-too-large': 413,
  'unsupported-media-type': 415,
  'headers-too-large': 431,
  'request-timeout': 408,
  'rate-limited': 429,
  internal: 500,
  overloaded: 503,
  'database-unavailable': 503,
  'outcome-unknown': 503,
  'shutting-down': 503,
  'not-ready': 503,
  'idempotency-key-reused': 422,
  'email-taken': 409,
  'username-taken': 409,
  'bad-credentials': 401,
  'product-not-found': 404,
  'product-not-pausable': 409,
  'product-not-paused': 409,
  'product-not-for-sale': 409,
  'sale-not-started': 409,
  'sale-ended': 409,
  'currency-mismatch': 409,
  'limit-exceeded': 409,
  'out-of-stock': 409,
  'insufficient-stock': 409,
  'cart-not-found': 404,
  'cart-closed': 409,
  'cart-empty': 409,
  'cart-changed': 409,
  'order-not-found': 404,
  'decision-not-known': 404,
  'order-not-cancellable': 409,
  'order-expired': 409,
  'order-not-payable': 409,
  'payment-in-progress': 409,
  'order-not-shippable': 409,
  'order-not-completable': 409,
  'webhook-not-found': 404,
  'webhook-inactive': 409,
  'too-many-webhooks': 409,
  'delivery-not-found': 404,
} as const satisfies Record<ErrorCode, number>;

type StatusOf = typeof PROBLEM_STATUS;
/** A code answered with 503 or 429 must say when to come back: forgetting one does not compile. */
type ComeBackCode = {
  [C in ErrorCode]: StatusOf[C] extends 503 | 429 ? C : never;
}[ErrorCode];

const COME_BACK_SECONDS = {
  // Where it is answered, the rest of the minute is known.
  'rate-limited': 60,
  overloaded: 1,
  'database-unavailable': 2,
  'outcome-unknown': 1,
  'shutting-down': 2,
  'not-ready': 1,
} as const satisfies Record<ComeBackCode, number>;

const COME_BACK: ReadonlyMap<string, number> = new Map(Object.entries(COME_BACK_SECONDS));

/** Seconds for the Retry-After header, or undefined where the code has none. */
export function retryAfterSeconds(code: ErrorCode): number | undefined {
  return COME_BACK.get(code);
}
