/**
 * The one registry of error codes that can leave the service; docs/errors.md lists the same codes
 * and a test compares the two both ways. HTTP status codes are chosen in http/ only.
 */
interface ErrorEntry {
  /** Short and constant: the `title` of the problem document. */
  readonly title: string;
  /** A sentence fit for a shopper: the `detail` unless the answer has something better to say. */
  readonly detail: string;
  /** The same request can succeed later without being changed. */
  readonly retryable: boolean;
}

export const ERRORS = {
  validation: {
    title: 'The request is not valid',
    detail: 'Some of what was sent could not be understood; see the list of errors.',
    retryable: false,
  },
  unauthenticated: {
    title: 'Log in first',
    detail: 'This needs a valid access token.',
    retryable: false,
  },
  forbidden: {
    title: 'Not allowed',
    detail: 'Your account may not do this.',
    retryable: false,
  },
  'not-found': {
    title: 'Nothing here',
    detail: 'There is nothing at this address.',
    retryable: false,
  },
  'precondition-failed': {
    title: 'Changed meanwhile',
    detail: 'Somebody else changed this in the meantime. Load it again before you change it.',
    retryable: false,
  },
  'body-too-large': {
    title: 'The request is too large',
    detail: 'The request is larger than this service accepts.',
    retryable: false,
  },
  'unsupported-media-type': {
    title: 'Unsupported content type',
    detail: 'Send JSON with the content type application/json.',
    retryable: false,
  },
  'headers-too-large': {
    title: 'The request headers are too large',
    detail: 'The headers of the request are larger than this service accepts.',
    retryable: false,
  },
  'request-timeout': {
    title: 'The request took too long to arrive',
    detail: 'The request did not arrive in time. Please try again.',
    retryable: true,
  },
  'rate-limited': {
    title: 'Too many requests',
    detail: 'There were too many requests in a short time. Please try again in a moment.',
    retryable: true,
  },
  internal: {
    title: 'Something went wrong',
    detail: 'Something went wrong on our side. The request id helps us to find it.',
    retryable: true,
  },
  overloaded: {
    title: 'Too many customers at once',
    detail: 'There is a rush right now and nothing was ordered. Please try again in a moment.',
    retryable: true,
  },
  'database-unavailable': {
    title: 'Temporarily unavailable',
    detail: 'The shop cannot be reached for a moment. Please try again.',
    retryable: true,
  },
  'outcome-unknown': {
    title: 'The outcome is not known yet',
    detail:
      'We could not confirm in time whether this took effect. Send the same request with the same key, or look the order up, to find out.',
    retryable: true,
  },
  'shutting-down': {
    title: 'Restarting',
    detail: 'The shop is restarting and nothing was ordered. Please try again in a moment.',
    retryable: true,
  },
  'not-ready': {
    title: 'Not ready',
    detail: 'The shop is starting or recovering. Please try again in a moment.',
    retryable: true,
  },
  'idempotency-key-reused': {
    title: 'This key was used for another request',
    detail: 'The idempotency key already belongs to a different request. Use a new key.',
    retryable: false,
  },
  'email-taken': {
    title: 'Email already registered',
    detail: 'An account with this email address exists already.',
    retryable: false,
  },
  'username-taken': {
    title: 'Username already taken',
    detail: 'An account with this username exists already.',
    retryable: false,
  },
  'bad-credentials': {
    title: 'Wrong email or password',
    detail: 'The email address or the password is not right.',
    retryable: false,
  },
  'product-not-found': {
    title: 'No such product',
    detail: 'One of the products does not exist.',
    retryable: false,
  },
  'product-not-pausable': {
    title: 'The product cannot be paused',
    detail: 'Only a product that is on sale can be paused.',
    retryable: false,
  },
  'product-not-paused': {
    title: 'The product is not paused',
    detail: 'Only a product that is paused can be put on sale again like this.',
    retryable: false,
  },
  'product-not-for-sale': {
    title: 'Not for sale',
    detail: 'One of the products is not for sale at the moment.',
    retryable: false,
  },
  'sale-not-started': {
    title: 'The sale has not started',
    detail: 'The sale of one of the products has not started yet.',
    retryable: true,
  },
  'sale-ended': {
    title: 'The sale is over',
    detail: 'The sale of one of the products is over.',
    retryable: false,
  },
  'currency-mismatch': {
    title: 'More than one currency',
    detail: 'All products of one order must be priced in the same currency.',
    retryable: false,
  },
  'limit-exceeded': {
    title: 'More than one customer may have',
    detail: 'With this order you would have more units of a product than each customer may have.',
    retryable: false,
  },
  'out-of-stock': {
    title: 'Sold out',
    detail: 'There are not enough units left of one of the products.',
    retryable: true,
  },
  'insufficient-stock': {
    title: 'Not enough stock',
    detail: 'There are fewer units in stock than you want to remove.',
    retryable: false,
  },
  'cart-not-found': {
    title: 'No such cart',
    detail: 'There is no such cart in your account; one that nobody changes expires.',
    retryable: false,
  },
  'cart-closed': {
    title: 'The cart was ordered',
    detail: 'This cart has become an order and can no longer be changed. Begin a new one.',
    retryable: false,
  },
  'cart-empty': {
    title: 'The cart is empty',
    detail: 'There is nothing in this cart to order.',
    retryable: false,
  },
  'cart-changed': {
    title: 'The cart changed meanwhile',
    detail:
      'The cart was changed while it was being ordered, so nothing was ordered. Look at it and order again.',
    retryable: false,
  },
  'order-not-found': {
    title: 'No such order',
    detail: 'There is no such order in your account.',
    retryable: false,
  },
  'decision-not-known': {
    title: 'No decision is known',
    detail:
      'We know of no order under this key: it has no answer yet, never reached us, was not decided because of a rush, or was refused too long ago to be remembered.',
    retryable: false,
  },
  'order-not-cancellable': {
    title: 'The order cannot be cancelled',
    detail: 'This order can no longer be cancelled.',
    retryable: false,
  },
  'order-expired': {
    title: 'The time to pay is over',
    detail: 'This order was not paid in time. Its items are on sale again.',
    retryable: false,
  },
  'order-not-payable': {
    title: 'The order cannot be paid',
    detail: 'This order can no longer be paid.',
    retryable: false,
  },
  'payment-in-progress': {
    title: 'A payment is under way',
    detail: 'A payment of this order is under way. Please wait until it has ended.',
    retryable: true,
  },
  'order-not-shippable': {
    title: 'The order cannot be shipped',
    detail: 'Only what is paid and not cancelled can be shipped.',
    retryable: false,
  },
  'order-not-completable': {
    title: 'The order cannot be completed',
    detail: 'Only an order of which everything is on its way can be completed.',
    retryable: false,
  },
  'webhook-not-found': {
    title: 'No such webhook',
    detail: 'There is no such webhook in your account.',
    retryable: false,
  },
  'webhook-inactive': {
    title: 'The webhook is not active',
    detail: 'Nothing is sent to this webhook until it is made active.',
    retryable: false,
  },
  'too-many-webhooks': {
    title: 'Too many webhooks',
    detail: 'Your account has as many webhooks as it may have. Delete one first.',
    retryable: false,
  },
  'delivery-not-found': {
    title: 'No such delivery',
    detail: 'There is no such delivery to this webhook; old ones are deleted.',
    retryable: false,
  },
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof ERRORS;

/**
 * An operational error: something around us failed, and the answer is a code of the registry.
 * Never posted across threads (a subclass arrives as a plain Error without its fields).
 */
export class AppError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, options?: ErrorOptions & { readonly message?: string }) {
    super(options?.message ?? ERRORS[code].title, options);
    this.name = 'AppError';
    this.code = code;
  }

  get retryable(): boolean {
    return ERRORS[this.code].retryable;
  }
}

/** A programmer error: the compiler proved that this cannot be reached. Never caught to carry on. */
export function unreachable(value: never): never {
  throw new Error(`unreachable: ${JSON.stringify(value)}`);
}
