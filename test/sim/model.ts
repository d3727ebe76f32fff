/**
 * What must be true, kept by somebody who only sees requests, COMMITs and answers. It shares no code
 * with the engine and knows nothing of mailboxes, holds or windows.
 *
 * Checked the moment it could first be seen: I1, I3, I4, I5, I7, I8 and I10 with each COMMIT, I3, I5
 * and I8 with each answer. Whoever drives the cores checks I9.
 */
import type { ShardLimits } from '../../src/actors/shard-protocol.ts';
import type { Batch, Committed, DecidedOrder, StatusChange } from '../../src/domain/batch.ts';
import { partitionOf, shardOf } from '../../src/domain/ids.ts';
import type { OrderId, OwnerId, PartitionId, ProductId } from '../../src/domain/ids.ts';
import type { OrderStatus } from '../../src/domain/order.ts';
import type { ProductState } from '../../src/domain/product.ts';
import type { Answer, ChangeStockCommand, Command } from '../../src/domain/wire.ts';
import { fail } from './fail.ts';
import type { CommitWitness } from './fake-sessions.ts';
import { OrderBook } from './status-model.ts';

/** A request as the router sent it, and what became of it. */
export interface Request {
  readonly command: Command;
  readonly sentAt: number;
  /** It was sent again to another incarnation, so a shed proves nothing any more (I8). */
  resent: boolean;
  /** Told that it had no effect: refused, shed, or the key stands for something else. */
  closed: boolean;
}

interface Book {
  /** Opening stock, restocked and adjusted. */
  stocked: number;
  /** Units in live orders. */
  live: number;
  /** Somebody changed the row by hand: the CHECK may fire. */
  diverged: boolean;
  readonly lines: SoldLine[];
}

interface SoldLine {
  readonly sequence: number;
  /** The incarnation that gave the sequence. */
  readonly owner: OwnerId;
  /** When it was decided; null when the decision was another shard's. */
  readonly decidedAt: number | null;
}

export interface ModelWorld {
  readonly shards: number;
  readonly limits: Pick<ShardLimits, 'proofAgeMsMax'>;
  readonly clock: { readonly now: number };
  /** The committed rows. */
  readonly postgres: { products(ids: readonly ProductId[]): readonly ProductState[] };
}

export class Model implements CommitWitness {
  /** How often each thing happened, to tell whether a run was worth anything. */
  readonly seen: Record<string, number> = {};
  readonly #world: ModelWorld;
  readonly #books = new Map<ProductId, Book>();
  readonly #orders = new Map<OrderId, OrderBook>();
  readonly #requests = new Map<string, Request[]>();
  /** Bound ids: the hash of the request, and what an answer must say. */
  readonly #effects = new Map<string, { hash: string; answer: string; since: number }>();
  readonly #firstAnswers = new Set<string>();
  readonly #owners: OwnerId[] = [];
  readonly #fencedAt = new Map<OwnerId, number>();
  readonly #watermarks = new Map<number, number>();

  constructor(world: ModelWorld, products: readonly ProductState[]) {
    this.#world = world;
    for (const { id, stock } of products) {
      this.#books.set(id, { stocked: stock, live: 0, diverged: false, lines: [] });
    }
  }

  /** The owner of a shard's partitions from now on; the one before is fenced. */
  tookOver(shard: number, owner: OwnerId): void {
    const former = this.#owners[shard];
    if (former !== undefined) this.#fencedAt.set(former, this.#world.clock.now);
    this.#owners[shard] = owner;
  }

  lowered(id: ProductId, units: number): void {
    const book = this.#book(id);
    book.stocked -= units;
    book.diverged = true;
  }

  hasDiverged(id: ProductId): boolean {
    return this.#book(id).diverged;
  }

  requested(request: Request): void {
    const all = this.#requests.get(request.command.id) ?? [];
    all.push(request);
    this.#requests.set(request.command.id, all);
  }

  rejected(id: string | null): void {
    this.#count('rejected');
    const book = this.#books.get(id as ProductId);
    if (book?.diverged !== true) fail('I6', `PostgreSQL denies ${id}`);
  }

  committed(batch: Batch, committed: Committed): void {
    const duplicates = new Set(committed.duplicates);
    if (duplicates.size > 0) this.#count('duplicates');
    for (const decided of batch.orders) {
      if (!duplicates.has(decided.command.id)) this.#addOrder(decided, batch);
    }
    for (const change of batch.stockChanges) {
      if (!duplicates.has(change.id)) this.#addStock(change, committed.stockAfter[change.id]);
    }
    for (const change of batch.statusChanges) {
      const bound = change.key !== null && duplicates.has(change.key.id);
      if (!bound && committed.unchanged[change.orderId] === undefined) this.#move(change, batch);
    }
    this.#count(batch.owners.length > 1 ? 'batches of several shards' : 'batches');
    for (const [id, { stocked, live }] of this.#books) {
      if (live > stocked) fail('I1', `${live} units of ${id} are sold and ${stocked} stocked`);
      const stock = this.#world.postgres.products([id])[0]?.stock ?? 0;
      if (stocked !== stock + live) fail('I10', `${id}: ${stocked} is not ${stock} + ${live}`);
    }
  }

  expiredUntil(shard: number, time: number): void {
    this.#count('expired-until');
    this.#watermarks.set(shard, time);
    for (const [id, order] of this.#orders) {
      const { homePartition, order: accepted } = order.decided;
      if (this.#shardOf(homePartition) !== shard || accepted.expiresAt > time) continue;
      if (order.status === 'WAITING_PAYMENT') fail('I10', `${id} waits before the watermark`);
    }
  }

  /** A core gave an answer, whether or not it reaches anybody. */
  answered(owner: OwnerId, request: Request, answer: Answer): void {
    const { command } = request;
    const effect = this.#effects.get(command.id);
    const isSame = effect?.hash === command.requestHash;
    this.#count('replayed' in answer && answer.replayed ? `${answer.type} again` : answer.type);
    switch (answer.type) {
      case 'accepted':
      case 'changed': {
        const told = JSON.stringify(answer.type === 'accepted' ? answer.order : answer.available);
        if (!isSame) fail('I2', `${answer.type} without a COMMIT: ${command.id}`);
        if (effect?.answer !== told) fail('I3', `${command.id} is answered in another way`);
        if (!answer.replayed) this.#first(command.id);
        return;
      }
      case 'status-changed':
      case 'status-kept':
        if (command.kind !== 'change-status') return fail('I8', 'a status of something else');
        this.#orders.get(command.orderId)?.checkAnswer(command, answer, request.sentAt);
        return;
      case 'key-reused':
        if (effect === undefined || isSame) fail('I3', `${command.id} is bound to nothing else`);
        return;
      case 'refused':
      case 'insufficient-stock': {
        if (isSame && effect !== undefined && effect.since < request.sentAt) {
          fail('I3', `${command.id} is bound and was refused`);
        }
        const age = this.#world.clock.now - (this.#fencedAt.get(owner) ?? Infinity);
        if (age > this.#world.limits.proofAgeMsMax)
          fail('I5', `owner ${owner} refuses, fenced ${age} ms`);
        return;
      }
      case 'shed':
        return;
    }
  }

  /** The answer reached the router. */
  delivered(request: Request, answer: Answer): void {
    const isNone =
      answer.type === 'refused' ||
      answer.type === 'insufficient-stock' ||
      answer.type === 'status-kept' ||
      answer.type === 'key-reused' ||
      (answer.type === 'shed' && !request.resent);
    if (isNone) request.closed = true;
  }

  /** Products and orders, once everything is settled and every hold has had its time. */
  checkEnd(): void {
    for (const [id, order] of this.#orders) {
      if (order.status === 'WAITING_PAYMENT') fail('I10', `${id} never expired`);
    }
  }

  #addOrder(decided: DecidedOrder, batch: Batch): void {
    const { command, homePartition, order } = decided;
    const { id, lines } = command;
    const request = this.#openRequest(id, command.requestHash);
    if (request.kind !== 'place' || JSON.stringify(request.lines) !== JSON.stringify(lines)) {
      fail('I4', `${id} committed other lines than were asked for`);
    }
    if (order.lines.length !== lines.length) fail('I4', `${id} committed with missing lines`);
    const partitions = lines.map(({ productId }) => partitionOf(productId));
    if (Math.min(...partitions) !== homePartition) fail('I5', `${id} has another home`);
    this.#checkHome(homePartition, batch);
    const watermark = this.#watermarks.get(this.#shardOf(homePartition)) ?? 0;
    if (order.expiresAt <= watermark) fail('I10', `${id} will never expire`);
    this.#bind(id, command.requestHash, JSON.stringify(order));
    const isLocal = command.otherShards === null;
    this.#count(isLocal ? 'orders' : 'orders of several shards');
    lines.forEach(({ productId, quantity }, i) => {
      const owner = this.#owners[this.#shardOf(partitionOf(productId))];
      if (owner === undefined || !batch.owners.includes(owner)) {
        fail('I5', `${id} sells ${productId} without its owner`);
      }
      const book = this.#book(productId);
      book.live += quantity;
      const sequence = order.lines[i]?.sequence ?? 0;
      this.#checkSequence(book, { sequence, owner, decidedAt: isLocal ? order.createdAt : null });
    });
    this.#orders.set(id, new OrderBook(decided, this.#world.clock.now));
  }

  /** Sequences are in the order of decisions, and an incarnation goes on where the last one ended. */
  #checkSequence(book: Book, line: SoldLine): void {
    for (const other of book.lines) {
      const [low, high] = other.sequence < line.sequence ? [other, line] : [line, other];
      const inOrder =
        low.sequence < high.sequence &&
        low.owner <= high.owner &&
        (low.decidedAt === null || high.decidedAt === null || low.decidedAt <= high.decidedAt);
      if (!inOrder) fail('I7', JSON.stringify({ low, high }));
    }
    book.lines.push(line);
  }

  #addStock(change: ChangeStockCommand, available: number | undefined): void {
    this.#openRequest(change.id, change.requestHash);
    this.#bind(change.id, change.requestHash, JSON.stringify(available));
    this.#book(change.productId).stocked += change.delta;
  }

  #move(change: StatusChange, batch: Batch): void {
    const { orderId, to, author, key } = change;
    const order = this.#orders.get(orderId);
    if (order === undefined) return fail('I4', `${orderId} has a status and does not exist`);
    const { command, homePartition } = order.decided;
    this.#checkHome(homePartition, batch);
    order.change(change, this.#world.clock.now);
    if (key !== null) {
      this.#openRequest(key.id, key.requestHash);
      this.#bind(key.id, key.requestHash, to);
    } else if (author !== null && !this.#isAsked(orderId, to)) {
      fail('I8', `nobody asked for ${orderId} to become ${to}`);
    }
    this.#count(to);
    if (to !== 'EXPIRED' && to !== 'CANCELLED') return;
    for (const { productId, quantity } of command.lines) this.#book(productId).live -= quantity;
  }

  #isAsked(orderId: OrderId, to: OrderStatus): boolean {
    const open = [...this.#requests.values()].flat().filter(({ closed }) => !closed);
    return open.some(({ command }) => {
      return command.kind === 'change-status' && command.orderId === orderId && command.to === to;
    });
  }

  #first(what: string): void {
    if (this.#firstAnswers.has(what)) fail('I3', `${what} was done twice`);
    this.#firstAnswers.add(what);
  }

  #bind(id: string, hash: string, answer: string): void {
    if (this.#effects.has(id)) fail('I3', `a second effect of ${id}`);
    this.#effects.set(id, { hash, answer, since: this.#world.clock.now });
  }

  /** Somebody still waits for this, or was told that it is unknown. */
  #openRequest(id: string, hash: string): Command {
    const all = this.#requests.get(id) ?? [];
    const open = all.find(({ command, closed }) => !closed && command.requestHash === hash);
    if (open === undefined) return fail('I8', `${id} took effect after it was denied`);
    return open.command;
  }

  #checkHome(home: PartitionId, batch: Batch): void {
    const owner = this.#owners[this.#shardOf(home)];
    if (owner !== batch.ownerId) fail('I5', `owner ${batch.ownerId} acts for ${owner}`);
  }

  #shardOf(partition: PartitionId): number {
    return shardOf(partition, this.#world.shards);
  }

  #book(id: ProductId): Book {
    return this.#books.get(id) ?? fail('I4', `${id} does not exist`);
  }

  #count(what: string): void {
    this.seen[what] = (this.seen[what] ?? 0) + 1;
  }
}
