/**
 * Drives a shard core by hand: a virtual clock, products in a table, commits settled when the test
 * says so. Loads and look-ups are answered from the tables at once unless the test holds them.
 */
import { IdempotencyWindow } from '../../src/actors/idempotency-window.ts';
import { ShardCore } from '../../src/actors/shard-core.ts';
import type {
  Effect,
  ShardEvent,
  ShardIdentity,
  ShardLimits,
} from '../../src/actors/shard-protocol.ts';
import type {
  AbortCause,
  Batch,
  Committed,
  ExpiringOrder,
  StoredEffect,
} from '../../src/domain/batch.ts';
import type {
  CartId,
  OrderId,
  OwnerId,
  PartitionId,
  ProductId,
  UserId,
} from '../../src/domain/ids.ts';
import type { StatusDetail } from '../../src/domain/order.ts';
import type { ProductChanges, ProductState } from '../../src/domain/product.ts';
import type {
  Answer,
  ChangeStatusCommand,
  ChangeStockCommand,
  EditProductCommand,
  PeerMessage,
  PlaceCommand,
} from '../../src/domain/wire.ts';

export const LIMITS: ShardLimits = {
  batchOrdersMax: 100,
  batchWaitMsMax: 0,
  commitsInFlightMax: 2,
  batchLinesMax: 1000,
  overlapOrdersMin: 10,
  overlapWaitMsMax: 100,
  mailboxMax: 1000,
  undecidedMsMax: 4000,
  proofAgeMsMax: 1000,
  holdTtlMs: 900_000,
  actorsMax: 1000,
  queryIdsMax: 1000,
  expiringMax: 1000,
};

/** What the merge says when nothing is to be said. */
export const NOTHING_REPORTED: Committed = {
  duplicates: [],
  stockAfter: {},
  unchanged: {},
  cartsChanged: [],
  freed: [],
};

export const START_MS = 1_800_000_000_000;
const OWNER = 7 as OwnerId;

/** A product id in partition `n`. */
export function productId(n: number): ProductId {
  return `00000000-0000-7000-8000-${n.toString(16).padStart(12, '0')}` as ProductId;
}

export function product(n: number, overrides: Partial<ProductState> = {}): ProductState {
  return {
    id: productId(n),
    name: `Product ${n}`,
    price: { amount: 1000 + n, currency: 'USD' },
    status: 'active',
    saleStartsAt: null,
    saleEndsAt: null,
    perCustomerLimit: null,
    customerUnits: null,
    version: 1,
    stock: 10,
    supplied: overrides.stock ?? 10,
    stockVersion: 1,
    sequence: 0,
    ...overrides,
  };
}

export interface PlaceOptions {
  /** The id stands for customer and key; a fresh one makes the command keyless. */
  readonly key?: string;
  readonly hash?: string;
  /** [product number, quantity], canonical. */
  readonly lines?: readonly (readonly [number, number])[];
  readonly otherShards?: readonly number[];
  /** The customer. */
  readonly by?: string;
  /** What it is checked out from; its id names the order, and `key` is bound beside it. */
  readonly cart?: { readonly id: string; readonly version: number; readonly key?: string };
}

export class ShardHarness {
  now = START_MS;
  readonly products = new Map<ProductId, ProductState>();
  readonly stored: StoredEffect[] = [];
  readonly answers = new Map<number, Answer>();
  readonly batches: Batch[] = [];
  readonly loads: (readonly ProductId[])[] = [];
  readonly lookUps: (readonly string[])[] = [];
  readonly wakes: number[] = [];
  /** Unpaid orders that the shard finds when it starts. */
  readonly expiring: ExpiringOrder[];
  readonly sends: { readonly to: OwnerId; readonly message: PeerMessage }[] = [];
  /** Effects that the harness does not execute. */
  readonly others: Effect[] = [];
  stopped = false;
  /** Loads stay unanswered until `finishLoad`. */
  holdLoads = false;
  /** Look-ups stay unanswered. */
  holdLookUps = false;
  /** Loads of unpaid orders stay unanswered. */
  readonly holdExpiring: boolean;
  /** The owner proves itself before every event, as a live one does. */
  proving = true;
  readonly core: ShardCore;
  #lastN = 0;

  constructor(
    options: {
      readonly products?: readonly ProductState[];
      readonly limits?: Partial<ShardLimits>;
      readonly window?: IdempotencyWindow;
      readonly expiring?: ExpiringOrder[];
      readonly holdExpiring?: boolean;
      /** Of a node with several shards. */
      readonly identity?: Pick<ShardIdentity, 'ownerId' | 'shard' | 'shards'>;
    } = {},
  ) {
    this.expiring = options.expiring ?? [];
    this.holdExpiring = options.holdExpiring ?? false;
    for (const state of options.products ?? [product(1)]) this.products.set(state.id, state);
    const window = options.window ?? new IdempotencyWindow({ linesMax: 1000, complete: true });
    const alone = { ownerId: OWNER, shard: 0, shards: 1 };
    const identity = { ...alone, ...options.identity, provenAt: START_MS };
    this.core = new ShardCore(identity, { ...LIMITS, ...options.limits }, window);
  }

  step(event: ShardEvent): void {
    if (this.proving) this.#run(this.core.step({ type: 'owned', provenAt: this.now }, this.now));
    this.#run(this.core.step(event, this.now));
  }

  /** Sends one order; returns its number. */
  place(options: PlaceOptions = {}): number {
    return this.placeAll([options])[0] ?? 0;
  }

  /** Sends orders in one group. */
  placeAll(orders: readonly PlaceOptions[]): number[] {
    const commands = orders.map((order) => this.#placeCommand(order));
    this.step({ type: 'commands', from: 0, commands });
    return commands.map(({ n }) => n);
  }

  changeStock(n: number, delta: number, key?: string): number {
    const command: ChangeStockCommand = {
      ...this.#base(key),
      kind: 'change-stock',
      productId: productId(n),
      delta,
      reason: 'delivery',
      author: 'merchant' as UserId,
    };
    this.step({ type: 'commands', from: 0, commands: [command] });
    return command.n;
  }

  cancel(
    order: string,
    options: { readonly key?: string; readonly partitions?: readonly number[] } = {},
  ): number {
    return this.changeStatus(order, { from: ['WAITING_PAYMENT'], to: 'CANCELLED' }, options);
  }

  changeStatus(
    order: string,
    change: Pick<ChangeStatusCommand, 'from' | 'to'> & { readonly detail?: StatusDetail },
    options: { readonly key?: string; readonly partitions?: readonly number[] } = {},
  ): number {
    const command: ChangeStatusCommand = {
      ...this.#base(options.key),
      detail: null,
      ...change,
      kind: 'change-status',
      orderId: order as OrderId,
      partitions: (options.partitions ?? [1]) as readonly PartitionId[],
      reason: null,
      author: 'customer' as UserId,
    };
    this.step({ type: 'commands', from: 0, commands: [command] });
    return command.n;
  }

  edit(
    n: number,
    changes: ProductChanges,
    { ifVersion = null }: { readonly ifVersion?: number | null } = {},
  ): number {
    const command: EditProductCommand = {
      ...this.#base(undefined),
      kind: 'edit-product',
      productId: productId(n),
      ifVersion,
      changes,
      reason: null,
      author: 'merchant' as UserId,
    };
    this.step({ type: 'commands', from: 0, commands: [command] });
    return command.n;
  }

  /** Nothing of batch `no` took effect. */
  abort(no: number, cause: AbortCause): void {
    this.step({ type: 'aborted', no, cause });
  }

  /** Time passes, and the shard looks for what is due. */
  pass(ms: number): void {
    this.now += ms;
    this.step({ type: 'tick' });
  }

  /** Settles batch `no` as the merge would; orders become stored effects. */
  commit(no: number, report: Partial<Committed> = {}): void {
    const batch = this.batches.find((sent) => sent.no === no);
    if (batch === undefined) throw new Error(`batch ${no} was never sent`);
    const undone: readonly string[] = [
      ...(report.duplicates ?? []),
      ...(report.cartsChanged ?? []),
    ];
    for (const { command, order } of batch.orders) {
      if (undone.includes(command.id)) continue;
      const { id, requestHash, lines } = command;
      this.stored.push({ kind: 'order', id, requestHash, lines, order });
    }
    const committed = { ...NOTHING_REPORTED, ...report };
    this.step({ type: 'committed', no, committed, provenAt: this.now });
  }

  finishLoad(): void {
    const ids = this.loads.at(-1) ?? [];
    const products = ids.flatMap((id) => this.products.get(id) ?? []);
    this.step({ type: 'loaded', products });
  }

  answer(n: number): Answer | undefined {
    return this.answers.get(n);
  }

  types(ns: readonly number[]): (string | undefined)[] {
    return ns.map((n) => this.answer(n)?.type);
  }

  #run(effects: readonly Effect[]): void {
    for (const effect of effects) {
      switch (effect.type) {
        case 'answer':
          if (this.answers.has(effect.answer.n)) throw new Error('answered twice (I8)');
          this.answers.set(effect.answer.n, effect.answer);
          break;
        case 'commit':
          this.batches.push(effect.batch);
          break;
        case 'load':
          this.loads.push(effect.ids);
          if (!this.holdLoads) this.finishLoad();
          break;
        case 'look-up': {
          this.lookUps.push(effect.ids);
          if (this.holdLookUps) break;
          const effects = this.stored.filter(({ id }) => effect.ids.includes(id));
          this.step({ type: 'looked-up', effects });
          break;
        }
        case 'wake':
          this.wakes.push(effect.at);
          break;
        case 'stopped':
          this.stopped = true;
          break;
        case 'load-expiring':
          if (this.holdExpiring) break;
          this.step({ type: 'expiring', orders: this.expiring, complete: true });
          break;
        case 'send':
          this.sends.push(effect);
          break;
        default:
          this.others.push(effect);
      }
    }
  }

  #placeCommand(options: PlaceOptions): PlaceCommand {
    const { key, hash, lines = [[1, 1]], otherShards, by = 'customer', cart } = options;
    const boundKey = cart?.key === undefined ? null : { id: cart.key, requestHash: 'checkout' };
    return {
      ...this.#base(cart === undefined ? key : `order of ${cart.id}`, hash),
      kind: 'place',
      userId: by as UserId,
      otherShards: otherShards ?? null,
      lines: lines.map(([n, quantity]) => ({ productId: productId(n), quantity })),
      reference: null,
      metadata: null,
      cart: cart ? { id: cart.id as CartId, version: cart.version, key: boundKey } : null,
    };
  }

  #base(key: string | undefined, hash = 'hash') {
    this.#lastN += 1;
    const id = (key ?? `fresh-${this.#lastN}`) as OrderId;
    const keyed = key !== undefined;
    return {
      n: this.#lastN,
      id,
      requestHash: hash,
      keyed,
      receivedAt: this.now,
      traceparent: null,
    };
  }
}
