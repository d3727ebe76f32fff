/** Commands as a router would send them, from what a scenario's one customer asks for. */
import { createHash, randomUUID } from 'node:crypto';
import { partitionOf, shardOf } from '../../src/domain/ids.ts';
import type { OrderId, ProductId, UserId } from '../../src/domain/ids.ts';
import type { RequestedLine } from '../../src/domain/order.ts';
import type { Answer, Command } from '../../src/domain/wire.ts';
import type { Asked } from './scenarios.ts';

export class ScenarioCommands {
  readonly products: readonly ProductId[];
  readonly #shards: number;
  readonly #customer = randomUUID() as UserId;
  readonly #ids = new Map<string, string>();
  /** By key. */
  readonly #lines = new Map<string, readonly RequestedLine[]>();

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

  make(
    asked: Asked,
    sent: { readonly n: number; readonly now: number },
  ): {
    readonly command: Command;
    readonly home: number;
  } {
    const base = {
      n: sent.n,
      requestHash: createHash('md5').update(JSON.stringify(asked)).digest('hex'),
      keyed: true,
      receivedAt: sent.now,
      traceparent: null,
    };
    const author = this.#customer;
    switch (asked.kind) {
      case 'place': {
        const lines = asked.lines.map(([n, units]) => {
          return { productId: this.product(n), quantity: units };
        });
        this.#lines.set(asked.key, lines);
        const { home, others } = this.#shardsOf(lines);
        const otherShards = others.length === 0 ? null : others;
        const id = this.#id(asked.key) as OrderId;
        const order = { userId: author, lines, otherShards, reference: null, metadata: null };
        return { home, command: { ...base, ...order, kind: 'place', id } };
      }
      case 'restock': {
        const { product, units, key } = asked;
        const productId = this.product(product);
        const change = { productId, delta: units, reason: 'delivery', author };
        const id = this.#id(`restock ${key}`);
        const { home } = this.#shardsOf([{ productId, quantity: units }]);
        return { home, command: { ...base, ...change, kind: 'change-stock', id } };
      }
      case 'cancel': {
        const lines = this.#lines.get(asked.key) ?? [];
        const change = {
          orderId: this.#id(asked.key) as OrderId,
          partitions: lines.map(({ productId }) => partitionOf(productId)),
          from: ['WAITING_PAYMENT', 'PAID'] as const,
          to: 'CANCELLED' as const,
          reason: null,
          author,
        };
        const id = randomUUID();
        const { home } = this.#shardsOf(lines);
        return { home, command: { ...base, ...change, kind: 'change-status', id, keyed: false } };
      }
    }
  }

  #id(name: string): string {
    const id = this.#ids.get(name) ?? randomUUID();
    this.#ids.set(name, id);
    return id;
  }

  #shardsOf(lines: readonly RequestedLine[]): { readonly home: number; readonly others: number[] } {
    const partitions = lines
      .map(({ productId }) => partitionOf(productId))
      .toSorted((a, b) => a - b);
    const [home = 0, ...others] = new Set(partitions.map((one) => shardOf(one, this.#shards)));
    return { home, others };
  }
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
