/**
 * The OrderGateway of one HTTP thread: names each request, sends it to the shard that owns its
 * products, and turns the shard's answer - or its absence - into an outcome.
 *
 * Owns: the requests without an answer, the orders answered `unknown`, the groups not yet posted. Does not own: any decision.
 * Neighbours: HTTP calls it; each shard is one MessagePort (domain/wire.ts).
 *
 * I8 one final answer: a request leaves `#waiting` exactly once, by an answer or by its deadline;
 *    a later answer finds nobody and settles what reading the order is told.
 * I9 every request has a deadline; at most `waitingMax` wait.
 */
import type { MessagePort } from 'node:worker_threads';
import { unreachable } from '../domain/errors.ts';
import { partitionOf, shardOf } from '../domain/ids.ts';
import type { OrderId, ProductId, UserId } from '../domain/ids.ts';
import type { Order } from '../domain/order.ts';
import type { ChangeStockOutcome, PlaceOrderOutcome, ShedCode } from '../domain/outcome.ts';
import type { ChangeStock, OrderGateway, PlaceOrder } from '../domain/ports.ts';
import type {
  AcceptedOrder,
  Answer,
  ChangeStockCommand,
  Command,
  PlaceCommand,
  ToRouter,
  ToShard,
} from '../domain/wire.ts';
import {
  canonicalLines,
  canonicalMetadata,
  effectId,
  freshId,
  orderHash,
  stockChangeHash,
} from './request-identity.ts';

/** Commands per post: a post costs far more than what it carries, and a large group waits long. */
const GROUP_COMMANDS = 16;
/** Milliseconds between looks for requests past their deadline. */
const SWEEP_MS = 50;

export interface RouterOptions {
  readonly requestTimeoutMs: number;
  /** Requests without an answer; more are shed. */
  readonly waitingMax: number;
}

type Waiter =
  | {
      readonly kind: 'place';
      readonly command: PlaceCommand;
      readonly metadata: PlaceOrder['metadata'];
      readonly resolve: (outcome: PlaceOrderOutcome) => void;
    }
  | {
      readonly kind: 'change-stock';
      readonly command: ChangeStockCommand;
      readonly resolve: (outcome: ChangeStockOutcome) => void;
    };

export class Router implements OrderGateway {
  readonly #options: RouterOptions;
  readonly #waiting = new Map<number, Waiter>();
  /** Empty until the shards are ready. */
  #ports: readonly MessagePort[] = [];
  /** Orders answered `unknown` whose shard has not answered yet, by request and by id. */
  readonly #late = new Map<number, PlaceCommand>();
  readonly #unsettled = new Map<OrderId, { readonly userId: UserId; requests: number }>();
  #groups: Command[][] = [];
  #postScheduled = false;
  #lastN = 0;
  /** What is answered instead of sending; null while the shards serve. */
  #closed: ShedCode | null = 'database-unavailable';

  constructor(options: RouterOptions) {
    this.#options = options;
    // Never cleared: whoever still waits when the router closes has a deadline too.
    setInterval(() => this.#expire(Date.now()), SWEEP_MS).unref();
  }

  /** Requests without an answer. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** The shards serve from now on; `ports[i]` leads to shard i. */
  open(ports: readonly MessagePort[]): void {
    this.#ports = ports;
    this.#groups = ports.map(() => []);
    for (const port of ports) {
      port.on('message', (message: ToRouter) => {
        if (message.type === 'answers') for (const answer of message.answers) this.#settle(answer);
      });
    }
    this.#closed = null;
  }

  /** New requests are shed with `code`; those under way get their answers. */
  close(code: ShedCode): void {
    this.#closed = code;
  }

  placeOrder(request: PlaceOrder): Promise<PlaceOrderOutcome> {
    const refused = this.#closedOrFull();
    if (refused !== null) return Promise.resolve(refused);
    const lines = canonicalLines(request.lines);
    const shard = this.#shardOf(lines[0]?.productId);
    for (const line of lines) {
      if (this.#shardOf(line.productId) !== shard) {
        return Promise.resolve({ type: 'several-shards' });
      }
    }
    const now = Date.now();
    const { userId, idempotencyKey, reference, traceparent } = request;
    const metadata = canonicalMetadata(request.metadata);
    const command: PlaceCommand = {
      kind: 'place',
      n: (this.#lastN += 1),
      id: idempotencyKey === null ? freshId(now) : effectId(userId, idempotencyKey),
      requestHash: orderHash({ userId, lines, reference, metadata }),
      keyed: idempotencyKey !== null,
      receivedAt: now,
      traceparent,
      userId,
      lines,
      reference,
      metadata,
    };
    return new Promise((resolve) => {
      this.#waiting.set(command.n, { kind: 'place', command, metadata: request.metadata, resolve });
      this.#send(shard, command);
    });
  }

  changeStock(request: ChangeStock): Promise<ChangeStockOutcome> {
    const refused = this.#closedOrFull();
    if (refused !== null) return Promise.resolve(refused);
    const now = Date.now();
    const { author, idempotencyKey, productId, delta, reason, traceparent } = request;
    const command: ChangeStockCommand = {
      kind: 'change-stock',
      n: (this.#lastN += 1),
      id: idempotencyKey === null ? freshId(now) : effectId(author, idempotencyKey),
      requestHash: stockChangeHash(request),
      keyed: idempotencyKey !== null,
      receivedAt: now,
      traceparent,
      productId,
      delta,
      reason,
      author,
    };
    return new Promise((resolve) => {
      this.#waiting.set(command.n, { kind: 'change-stock', command, resolve });
      this.#send(this.#shardOf(productId), command);
    });
  }

  unsettledCustomer(id: OrderId): UserId | undefined {
    return this.#unsettled.get(id)?.userId;
  }

  #closedOrFull(): { readonly type: 'shed'; readonly code: ShedCode } | null {
    if (this.#closed !== null) return { type: 'shed', code: this.#closed };
    const unanswered = this.#waiting.size + this.#late.size;
    return unanswered < this.#options.waitingMax ? null : { type: 'shed', code: 'overloaded' };
  }

  #shardOf(productId: ProductId | undefined): number {
    if (productId === undefined) throw new Error('an order without lines reached the router');
    return shardOf(partitionOf(productId), this.#ports.length);
  }

  /** Posts in groups: full ones at once, so that shard and HTTP work side by side, the rest last. */
  #send(shard: number, command: Command): void {
    const group = this.#groups[shard];
    if (group === undefined) throw new Error(`there is no shard ${shard}`);
    group.push(command);
    if (group.length >= GROUP_COMMANDS) {
      this.#post(shard);
    } else if (!this.#postScheduled) {
      this.#postScheduled = true;
      setImmediate(() => {
        this.#postScheduled = false;
        for (let i = 0; i < this.#groups.length; i += 1) this.#post(i);
      });
    }
  }

  #post(shard: number): void {
    const commands = this.#groups[shard];
    if (commands === undefined || commands.length === 0) return;
    this.#groups[shard] = [];
    const message: ToShard = { type: 'commands', commands };
    this.#ports[shard]?.postMessage(message);
  }

  /** A Map is in order of insertion and all requests have the same time, so the overdue come first. */
  #expire(now: number): void {
    for (const [n, waiter] of this.#waiting) {
      if (now - waiter.command.receivedAt < this.#options.requestTimeoutMs) return;
      this.#waiting.delete(n);
      if (waiter.kind === 'place') {
        const { command } = waiter;
        this.#remember(command);
        waiter.resolve({ type: 'unknown', orderId: command.id });
      } else {
        waiter.resolve({ type: 'unknown', orderId: null });
      }
    }
  }

  #remember(command: PlaceCommand): void {
    this.#late.set(command.n, command);
    const unsettled = this.#unsettled.get(command.id);
    if (unsettled === undefined) {
      this.#unsettled.set(command.id, { userId: command.userId, requests: 1 });
    } else {
      unsettled.requests += 1;
    }
  }

  /** Every late request for an order must have its answer: one may commit what another did not. */
  #settleLate(n: number): void {
    const command = this.#late.get(n);
    if (command === undefined) return;
    this.#late.delete(n);
    const unsettled = this.#unsettled.get(command.id);
    if (unsettled === undefined) return;
    unsettled.requests -= 1;
    if (unsettled.requests === 0) this.#unsettled.delete(command.id);
  }

  #settle(answer: Answer): void {
    const waiter = this.#waiting.get(answer.n);
    if (waiter === undefined) {
      this.#settleLate(answer.n);
      return;
    }
    this.#waiting.delete(answer.n);
    if (waiter.kind === 'place') waiter.resolve(placeOutcome(answer, waiter));
    else waiter.resolve(changeOutcome(answer));
  }
}

function placeOutcome(answer: Answer, waiter: Waiter & { kind: 'place' }): PlaceOrderOutcome {
  switch (answer.type) {
    case 'accepted': {
      const order = orderOf(waiter, answer.order);
      return { type: 'accepted', replayed: answer.replayed, order };
    }
    case 'refused':
      return answer.refusal;
    case 'key-reused':
      return { type: 'key-reused' };
    case 'shed':
      return { type: 'shed', code: answer.code };
    case 'changed':
    case 'insufficient-stock':
      throw new Error(`an order was answered with ${answer.type}`);
    default:
      return unreachable(answer);
  }
}

function changeOutcome(answer: Answer): ChangeStockOutcome {
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
      throw new Error('a stock change was answered with an order');
    default:
      return unreachable(answer);
  }
}

/** The first answer: whatever happened to the order since, a repeat is shown what the first was. */
function orderOf(waiter: Waiter & { kind: 'place' }, accepted: AcceptedOrder): Order {
  const { command } = waiter;
  let total = 0;
  const items = command.lines.map(({ productId, quantity }, i) => {
    const line = accepted.lines[i];
    if (line === undefined) throw new Error(`order ${command.id} was answered without line ${i}`);
    total += line.unitPrice * quantity;
    const { name, unitPrice, sequence } = line;
    return { productId, quantity, name, unitPrice, sequence };
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
    createdAt: accepted.createdAt,
    expiresAt: accepted.expiresAt,
  };
}
