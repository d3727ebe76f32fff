/** Commands as a router would send them, from what a scenario's customers and merchant ask for. */
import { createHash, randomUUID } from 'node:crypto';
import { partitionOf, shardOf } from '../../src/domain/ids.ts';
import type { CartId, OrderId, PaymentId, ProductId, UserId } from '../../src/domain/ids.ts';
import type { RequestedLine } from '../../src/domain/order.ts';
import type { ProductChanges } from '../../src/domain/product.ts';
import type { Answer, Command, PlaceCommand } from '../../src/domain/wire.ts';
import type { Asked, Lines } from './scenarios.ts';

/** A cart as its customer has filled it. */
export interface FilledCart {
  readonly id: CartId;
  readonly userId: UserId;
  readonly version: number;
  readonly lines: readonly RequestedLine[];
}

/** A command, and the shard that it goes to. */
interface Made {
  readonly command: Command;
  readonly home: number;
}

interface Sent {
  readonly n: number;
  readonly now: number;
}

export class ScenarioCommands {
  readonly products: readonly ProductId[];
  readonly #shards: number;
  /** By what the scenario calls them. */
  readonly #ids = new Map<string, string>();
  /** By the key of the order. */
  readonly #lines = new Map<string, readonly RequestedLine[]>();
  /** By name, version by version. */
  readonly #carts = new Map<string, readonly FilledCart[]>();

  /** Product n is in partition n. */
  constructor(shards: number, products: number) {
    this.#shards = shards;
    const prefix = randomUUID().slice(0, -2);
    this.products = Array.from({ length: products }, (_, n) => {
      return `${prefix}${n.toString(16).padStart(2, '0')}` as ProductId;
    });
  }

  product(n: number): ProductId {
    const id = this.products[n];
    if (id === undefined) throw new Error(`the scenario has no product ${n}`);
    return id;
  }

  /** The next version of a cart. */
  fill(name: string, by: string, lines: Lines): FilledCart {
    const versions = this.#carts.get(name) ?? [];
    const filled = {
      id: this.#id(`cart ${name}`) as CartId,
      userId: this.#id(by) as UserId,
      version: versions.length + 1,
      lines: this.#requested(lines),
    };
    this.#carts.set(name, [...versions, filled]);
    return filled;
  }

  /** Of the order's only payment. */
  payment(key: string): { readonly orderId: OrderId; readonly paymentId: PaymentId } {
    const paymentId = this.#id(`payment of ${key}`) as PaymentId;
    return { orderId: this.#id(key) as OrderId, paymentId };
  }

  make(asked: Asked, sent: Sent): Made {
    switch (asked.kind) {
      case 'place': {
        const lines = this.#requested(asked.lines);
        const id = this.#id(asked.key) as OrderId;
        this.#lines.set(asked.key, lines);
        return this.#order({ id, userId: this.#id(asked.by) as UserId, lines, cart: null }, sent);
      }
      case 'checkout':
        return this.#checkout(asked, sent);
      case 'restock': {
        const { product, units, key } = asked;
        const productId = this.product(product);
        const author = this.#id('merchant') as UserId;
        const change = { productId, delta: units, reason: 'delivery', author };
        const id = this.#id(`restock ${key}`);
        const command = { ...base(asked, sent), ...change, kind: 'change-stock', id } as const;
        return { home: this.#shardOf(productId), command };
      }
      case 'edit': {
        const productId = this.product(asked.product);
        const edit = { productId, ifVersion: null, changes: changesOf(asked, sent.now) };
        const rest = { reason: null, author: this.#id('merchant') as UserId, id: randomUUID() };
        const unkeyed = { ...base(asked, sent), keyed: false };
        const command = { ...unkeyed, ...edit, ...rest, kind: 'edit-product' } as const;
        return { home: this.#shardOf(productId), command };
      }
      case 'pay':
      case 'cancel':
        return this.#change(asked, sent);
    }
  }

  #checkout(asked: Asked & { readonly kind: 'checkout' }, sent: Sent): Made {
    const versions = this.#carts.get(asked.cart) ?? [];
    const read = versions.at((asked.version ?? versions.length) - 1);
    if (read === undefined) throw new Error(`there is no such version of ${asked.cart}`);
    const { id: cartId, version, userId, lines } = read;
    const requestHash = hashOf(['checkout', cartId]);
    const key = asked.key === null ? null : { id: this.#id(asked.key), requestHash };
    const id = this.#id(`order of ${asked.cart}`) as OrderId;
    return this.#order({ id, userId, lines, cart: { id: cartId, version, key } }, sent);
  }

  /** The hash is that of the lines, also for an order from a cart. */
  #order(order: Pick<PlaceCommand, 'id' | 'userId' | 'lines' | 'cart'>, sent: Sent): Made {
    const { home, others } = this.#shardsOf(order.lines);
    const otherShards = others.length === 0 ? null : others;
    const rest = { otherShards, reference: null, metadata: null, kind: 'place' } as const;
    return { home, command: { ...base([order.userId, order.lines], sent), ...order, ...rest } };
  }

  #change(asked: Asked & { readonly kind: 'pay' | 'cancel' }, sent: Sent): Made {
    const lines = this.#lines.get(asked.key) ?? [];
    const { orderId, paymentId } = this.payment(asked.key);
    const partitions = lines.map(({ productId }) => partitionOf(productId));
    const common = { orderId, partitions, reason: null, id: randomUUID(), keyed: false } as const;
    const change = { ...base(asked, sent), ...common, kind: 'change-status' } as const;
    const { home } = this.#shardsOf(lines);
    if (asked.kind === 'cancel') {
      const from = ['WAITING_PAYMENT', 'PAID'] as const;
      const author = this.#id('Ada') as UserId;
      return { home, command: { ...change, from, to: 'CANCELLED', detail: null, author } };
    }
    const detail = { kind: 'payment', paymentId } as const;
    const from = ['WAITING_PAYMENT'] as const;
    return { home, command: { ...change, from, to: 'PAID', detail, author: null } };
  }

  #requested(lines: Lines): readonly RequestedLine[] {
    return lines.map(([n, units]) => ({ productId: this.product(n), quantity: units }));
  }

  #id(name: string): string {
    const id = this.#ids.get(name) ?? randomUUID();
    this.#ids.set(name, id);
    return id;
  }

  #shardOf(productId: ProductId): number {
    return shardOf(partitionOf(productId), this.#shards);
  }

  #shardsOf(lines: readonly RequestedLine[]): { readonly home: number; readonly others: number[] } {
    const partitions = lines
      .map(({ productId }) => partitionOf(productId))
      .toSorted((a, b) => a - b);
    const [home = 0, ...others] = new Set(partitions.map((one) => shardOf(one, this.#shards)));
    return { home, others };
  }
}

function base(request: unknown, { n, now }: Sent) {
  return { n, requestHash: hashOf(request), keyed: true, receivedAt: now, traceparent: null };
}

function hashOf(request: unknown): string {
  return createHash('md5').update(JSON.stringify(request)).digest('hex');
}

function changesOf(asked: Asked & { readonly kind: 'edit' }, now: number): ProductChanges {
  const { limit, opensInMs, closesInMs } = asked;
  return {
    ...(limit === undefined ? {} : { perCustomerLimit: limit }),
    ...(opensInMs === undefined ? {} : { saleStartsAt: now + opensInMs }),
    ...(closesInMs === undefined ? {} : { saleEndsAt: now + closesInMs }),
  };
}

/** As scenarios write it. */
export function wordsOf(answer: Answer): string {
  switch (answer.type) {
    case 'refused':
      return answer.refusal.code;
    case 'shed':
      return `shed ${answer.code}`;
    case 'status-kept':
      return `kept ${answer.status}`;
    default:
      return 'replayed' in answer && answer.replayed ? `${answer.type} again` : answer.type;
  }
}
