/** What a shard's answer means to whoever asked. */
import { unreachable } from '../domain/errors.ts';
import type { Order } from '../domain/order.ts';
import type {
  ChangeStatusOutcome,
  ChangeStockOutcome,
  EditProductOutcome,
  PlaceOrderOutcome,
} from '../domain/outcome.ts';
import type { AcceptedOrder, Answer, ChangeStatusCommand } from '../domain/wire.ts';
import type { PlaceWaiter } from './waiter.ts';

export function placeOutcome(answer: Answer, waiter: PlaceWaiter): PlaceOrderOutcome {
  switch (answer.type) {
    case 'accepted': {
      const order = orderOf(waiter, answer.order);
      // Without a key nobody else can have asked for it: only the shard that died answered nothing.
      const replayed = answer.replayed && waiter.command.keyed;
      return { type: 'accepted', replayed, order };
    }
    case 'refused':
      return answer.refusal;
    case 'key-reused':
      return { type: 'key-reused' };
    case 'shed':
      return { type: 'shed', code: answer.code };
    case 'cart-changed':
      return { type: 'cart-changed' };
    case 'changed':
    case 'insufficient-stock':
    case 'status-changed':
    case 'status-kept':
    case 'edited':
    case 'version-differs':
      throw new Error(`an order was answered with ${answer.type}`);
    default:
      return unreachable(answer);
  }
}

export function stockOutcome(answer: Answer): ChangeStockOutcome {
  switch (answer.type) {
    case 'changed':
      return { type: 'changed', available: answer.available, replayed: answer.replayed };
    case 'insufficient-stock':
      return { type: 'refused', code: 'insufficient-stock', available: answer.available };
    case 'refused':
      return { type: 'refused', code: 'product-not-found' };
    case 'key-reused':
      return { type: 'key-reused' };
    case 'shed':
      return { type: 'shed', code: answer.code };
    case 'accepted':
    case 'status-changed':
    case 'status-kept':
    case 'cart-changed':
    case 'edited':
    case 'version-differs':
      throw new Error(`a stock change was answered with ${answer.type}`);
    default:
      return unreachable(answer);
  }
}

export function editOutcome(answer: Answer): EditProductOutcome {
  switch (answer.type) {
    case 'edited':
    case 'version-differs':
      return { type: answer.type, version: answer.version };
    case 'refused':
      return { type: 'refused', code: 'product-not-found' };
    case 'shed':
      return { type: 'shed', code: answer.code };
    case 'accepted':
    case 'changed':
    case 'insufficient-stock':
    case 'status-changed':
    case 'status-kept':
    case 'cart-changed':
    case 'key-reused':
      throw new Error(`an edit was answered with ${answer.type}`);
    default:
      return unreachable(answer);
  }
}

export function statusOutcome(answer: Answer, { to }: ChangeStatusCommand): ChangeStatusOutcome {
  switch (answer.type) {
    case 'status-changed':
      return { type: 'changed', replayed: answer.replayed };
    case 'status-kept':
      // A change that already happened is a success, whoever made it.
      return answer.status === to
        ? { type: 'changed', replayed: false }
        : { type: 'not-changeable', status: answer.status };
    case 'key-reused':
      return { type: 'key-reused' };
    case 'shed':
      return { type: 'shed', code: answer.code };
    case 'accepted':
    case 'changed':
    case 'refused':
    case 'insufficient-stock':
    case 'cart-changed':
    case 'edited':
    case 'version-differs':
      throw new Error(`a status change was answered with ${answer.type}`);
    default:
      return unreachable(answer);
  }
}

/** One for all orders that were just placed. */
const NO_PAYMENTS: Order['payments'] = [];

/** The first answer: whatever happened to the order since, a repeat is shown what the first was. */
function orderOf(waiter: PlaceWaiter, accepted: AcceptedOrder): Order {
  const { command } = waiter;
  let total = 0;
  const items = command.lines.map(({ productId, quantity }, i) => {
    const line = accepted.lines[i];
    if (line === undefined) throw new Error(`order ${command.id} was answered without line ${i}`);
    total += line.unitPrice * quantity;
    const { name, unitPrice, sequence } = line;
    return { productId, quantity, name, unitPrice, sequence, shippedAt: null, tracking: null };
  });
  return {
    id: command.id,
    userId: command.userId,
    status: 'WAITING_PAYMENT',
    items,
    currency: accepted.currency,
    total,
    reference: command.reference,
    metadata: waiter.metadata,
    payments: NO_PAYMENTS,
    createdAt: accepted.createdAt,
    expiresAt: accepted.expiresAt,
  };
}
