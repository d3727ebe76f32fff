/**
 * A naive world around a shard core: a PostgreSQL of maps whose merge does what db/merge.sql
 * promises, and a list of everything that is under way, each step of which happens when the test
 * says so. It shares no code with the core and knows nothing of mailboxes or windows.
 */
import { IdempotencyWindow } from '../../src/actors/idempotency-window.ts';
import { ShardCore } from '../../src/actors/shard-core.ts';
import type { Effect, ShardEvent, ShardLimits } from '../../src/actors/shard-protocol.ts';
import type { Batch, Committed, StoredEffect } from '../../src/domain/batch.ts';
import type { OrderId, OwnerId, ProductId, UserId } from '../../src/domain/ids.ts';
import type { ProductState } from '../../src/domain/product.ts';
import type { Answer, Command } from '../../src/domain/wire.ts';
import { LIMITS, NOTHING_REPORTED, productId, START_MS } from './shard-harness.ts';

const CUSTOMER = 'customer' as UserId;

/** What is asked for; equal requests have equal hashes. */
export type Request =
  | { readonly kind: 'place'; readonly lines: readonly (readonly [number, number])[] }
  | { readonly kind: 'change-stock'; readonly product: number; readonly delta: number };

export interface Sent {
  readonly command: Command;
  /** Its id was bound to this very request, by a committed row, before it was sent. */
  readonly repeat: boolean;
  readonly answers: Answer[];
}

/** One step of the world outside, to be taken at any time. */
export type Happening = 'apply' | 'deliver' | 'load' | 'look-up' | 'load-failed' | 'look-up-failed';

/** Committed rows. */
class Rows {
  readonly products = new Map<ProductId, ProductState>();
  readonly effects = new Map<string, StoredEffect>();
  /** By product: the sequences of its committed lines. */
  readonly sequences = new Map<ProductId, number[]>();
  duplicates = 0;

  merge(batch: Batch): Committed {
    const duplicates: string[] = [];
    const stockAfter: Record<string, number> = {};
    for (const change of batch.stockChanges) {
      const { id, requestHash, productId, delta, keyed } = change;
      if (keyed && this.effects.has(id)) {
        duplicates.push(id);
        continue;
      }
      const available = this.#add(productId, delta);
      stockAfter[id] = available;
      if (keyed) this.effects.set(id, { kind: 'stock-change', id, requestHash, available });
    }
    for (const { command, order } of batch.orders) {
      const { id, requestHash, lines } = command;
      if (this.effects.has(id)) {
        duplicates.push(id);
        continue;
      }
      this.effects.set(id, { kind: 'order', id, requestHash, lines, order });
      lines.forEach(({ productId, quantity }, i) => {
        const sequences = this.sequences.get(productId) ?? [];
        sequences.push(order.lines[i]?.sequence ?? 0);
        this.sequences.set(productId, sequences);
        this.#add(productId, -quantity);
      });
    }
    this.duplicates += duplicates.length;
    return { ...NOTHING_REPORTED, duplicates, stockAfter };
  }

  #add(id: ProductId, delta: number): number {
    const state = this.products.get(id);
    if (state === undefined) throw new Error(`a batch holds the unknown product ${id}`);
    const stock = state.stock + delta;
    // The CHECK of the table: the engine must never need it, not even between two changes.
    if (stock < 0) throw new Error(`oversold ${id} by ${-stock} (I1)`);
    const sequence = Math.max(state.sequence, ...(this.sequences.get(id) ?? []));
    this.products.set(id, { ...state, stock, sequence });
    return stock;
  }
}

export class World {
  now = START_MS;
  readonly rows = new Rows();
  readonly sent: Sent[] = [];
  readonly batches: Batch[] = [];
  stopped = 0;
  readonly #core: ShardCore;
  /** Sent and not merged; merged and not told; queries not answered. */
  #unmerged: Batch[] = [];
  #untold: { readonly no: number; readonly committed: Committed }[] = [];
  #load: readonly ProductId[] | null = null;
  #lookUp: readonly string[] | null = null;

  constructor(options: {
    readonly products: readonly ProductState[];
    readonly limits: Partial<ShardLimits>;
    readonly windowLinesMax: number;
    /** Bound by an owner before this one; the window knows nothing of them. */
    readonly bound: readonly StoredEffect[];
  }) {
    for (const state of options.products) this.rows.products.set(state.id, state);
    for (const effect of options.bound) this.rows.effects.set(effect.id, effect);
    const complete = options.bound.length === 0;
    const window = new IdempotencyWindow({ linesMax: options.windowLinesMax, complete });
    const limits = { ...LIMITS, ...options.limits };
    this.#core = new ShardCore(
      { ownerId: 1 as OwnerId, shard: 0, shards: 1, provenAt: START_MS },
      limits,
      window,
    );
  }

  get undecided(): number {
    return this.#core.undecided;
  }

  send(requests: readonly (readonly [Request, key: number | null])[]): readonly Sent[] {
    const group = requests.map(([request, key]) => {
      const command = this.#command(request, key);
      const repeat = this.rows.effects.get(command.id)?.requestHash === command.requestHash;
      const sent = { command, repeat, answers: [] };
      this.sent.push(sent);
      return sent;
    });
    this.#step({ type: 'commands', from: 0, commands: group.map(({ command }) => command) });
    return group;
  }

  pass(ms: number): void {
    this.now += ms;
    this.#step({ type: 'tick' });
  }

  stop(): void {
    this.#step({ type: 'stop' });
  }

  /** Takes the step, for the `nth` of those under way; false when there is none to take. */
  happen(what: Happening, nth = 0): boolean {
    switch (what) {
      case 'apply': {
        const [batch] = this.#unmerged.splice(nth % Math.max(1, this.#unmerged.length), 1);
        if (batch === undefined) return false;
        this.#untold.push({ no: batch.no, committed: this.rows.merge(batch) });
        return true;
      }
      case 'deliver': {
        const [merged] = this.#untold.splice(nth % Math.max(1, this.#untold.length), 1);
        if (merged === undefined) return false;
        this.#step({ type: 'committed', ...merged, provenAt: this.now });
        return true;
      }
      case 'load': {
        const ids = this.#load;
        if (ids === null) return false;
        this.#load = null;
        const products = ids.flatMap((id) => this.rows.products.get(id) ?? []);
        this.#step({ type: 'loaded', products });
        return true;
      }
      case 'look-up': {
        const ids = this.#lookUp;
        if (ids === null) return false;
        this.#lookUp = null;
        const effects = ids.flatMap((id) => this.rows.effects.get(id) ?? []);
        this.#step({ type: 'looked-up', effects });
        return true;
      }
      case 'load-failed':
        if (this.#load === null) return false;
        this.#load = null;
        this.#step({ type: 'load-failed' });
        return true;
      case 'look-up-failed':
        if (this.#lookUp === null) return false;
        this.#lookUp = null;
        this.#step({ type: 'look-up-failed' });
        return true;
    }
  }

  /** Lets everything under way happen, until nothing is. */
  settle(): void {
    const kinds = ['load', 'look-up', 'apply', 'deliver'] as const;
    while (kinds.some((what) => this.happen(what)));
  }

  #command(request: Request, key: number | null): Command {
    const n = this.sent.length;
    const base = {
      n,
      id: (key === null ? `fresh ${n}` : `key ${key}`) as OrderId,
      requestHash: JSON.stringify(request),
      keyed: key !== null,
      receivedAt: this.now,
      traceparent: null,
    };
    if (request.kind === 'place') {
      const lines = request.lines.map(([number, quantity]) => ({
        productId: productId(number),
        quantity,
      }));
      return {
        ...base,
        kind: 'place',
        userId: CUSTOMER,
        lines,
        otherShards: null,
        reference: null,
        metadata: null,
        cart: null,
      };
    }
    const { product, delta } = request;
    const id = productId(product);
    return { ...base, kind: 'change-stock', productId: id, delta, reason: '', author: CUSTOMER };
  }

  #step(event: ShardEvent): void {
    const proof: ShardEvent = { type: 'owned', provenAt: this.now };
    for (const step of [proof, event]) {
      for (const effect of this.#core.step(step, this.now)) this.#execute(effect);
    }
  }

  #execute(effect: Effect): void {
    switch (effect.type) {
      case 'answer':
        this.sent[effect.answer.n]?.answers.push(effect.answer);
        return;
      case 'commit':
        this.batches.push(effect.batch);
        this.#unmerged.push(effect.batch);
        return;
      case 'load':
        if (this.#load !== null) throw new Error('two loads at once');
        this.#load = effect.ids;
        return;
      case 'look-up':
        if (this.#lookUp !== null) throw new Error('two look-ups at once');
        this.#lookUp = effect.ids;
        return;
      case 'wake':
        return;
      case 'stopped':
        this.stopped += 1;
        return;
      case 'load-expiring':
        this.#step({ type: 'expiring', orders: [], complete: true });
        return;
      default:
        throw new Error(`nothing here calls for ${effect.type}`);
    }
  }
}
