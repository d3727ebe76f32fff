/**
 * What must be true, kept by somebody who only sees requests, COMMITs, answers and, for the moment
 * of a decision, what shards say to each other. It shares no code with the engine and knows nothing
 * of mailboxes or windows.
 *
 * Checked the moment it could first be seen: I1, I3 to I8 and I10 with each COMMIT, I3, I5, I6 and
 * I8 with each answer. Whoever drives the cores checks I9.
 */
import type { ShardLimits } from '../../src/actors/shard-protocol.ts';
import type { Batch, Committed, DecidedOrder, StatusChange } from '../../src/domain/batch.ts';
import { partitionOf, shardOf } from '../../src/domain/ids.ts';
import type { CartId, OrderId, OwnerId, PartitionId, ProductId } from '../../src/domain/ids.ts';
import type { Refusal } from '../../src/domain/outcome.ts';
import type { ProductState } from '../../src/domain/product.ts';
import type {
  Answer,
  ChangeStockCommand,
  Command,
  EditProductCommand,
  PeerMessage,
  PlaceCommand,
} from '../../src/domain/wire.ts';
import { fail } from './fail.ts';
import type { FakeShop } from './fake-shop.ts';
import type { CommitWitness } from './fake-sessions.ts';
import { ProductBook } from './product-model.ts';
import { RequestBook, TakingTimes } from './request-model.ts';
import type { Request } from './request-model.ts';
import { OrderBook } from './status-model.ts';

export interface ModelWorld {
  readonly shards: number;
  readonly limits: Pick<ShardLimits, 'proofAgeMsMax'>;
  readonly clock: { readonly now: number };
  /** The committed rows. */
  readonly postgres: {
    readonly shop: FakeShop;
    products(ids: readonly ProductId[]): readonly ProductState[];
  };
}

export class Model implements CommitWitness {
  /** How often each thing happened, to tell whether a run was worth anything. */
  readonly seen: Record<string, number> = {};
  readonly #world: ModelWorld;
  readonly #books = new Map<ProductId, ProductBook>();
  readonly #orders = new Map<OrderId, OrderBook>();
  readonly #requests = new RequestBook();
  readonly #takingTimes = new TakingTimes();
  /** By request: the version that its edit made. */
  readonly #edits = new Map<number, number>();
  /** Carts that became an order. */
  readonly #ordered = new Set<CartId>();
  readonly #owners: OwnerId[] = [];
  readonly #fencedAt = new Map<OwnerId, number>();
  readonly #watermarks = new Map<number, number>();

  constructor(world: ModelWorld, products: readonly ProductState[]) {
    this.#world = world;
    for (const each of products) this.#books.set(each.id, new ProductBook(each, world.clock.now));
  }

  /** The owner of a shard's partitions from now on; the one before is fenced. */
  tookOver(shard: number, owner: OwnerId): void {
    const former = this.#owners[shard];
    const { now } = this.#world.clock;
    if (former !== undefined) this.#fencedAt.set(former, now);
    this.#owners[shard] = owner;
    // Whoever served it before may refuse for as long as its last proof is fresh.
    const until = now + this.#world.limits.proofAgeMsMax;
    for (const [id, book] of this.#books) {
      if (this.#shardOf(partitionOf(id)) === shard) book.told(book.terms.version, until);
    }
  }

  lowered(id: ProductId, units: number): void {
    const book = this.#book(id);
    book.stocked -= units;
    book.diverged = true;
  }

  /** What must be true of the product now. */
  book(id: ProductId): ProductBook {
    return this.#book(id);
  }

  requested(request: Request): void {
    this.#requests.add(request);
  }

  /** The answer reached the router. */
  delivered(request: Request, answer: Answer): void {
    this.#requests.deliver(request, answer);
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
      const { id } = decided.command;
      if (committed.cartsChanged.includes(id)) this.#count('carts changed');
      else if (!duplicates.has(id)) this.#addOrder(decided, batch);
    }
    for (const change of batch.stockChanges) {
      if (!duplicates.has(change.id)) this.#addStock(change, committed.stockAfter[change.id]);
    }
    for (const change of batch.statusChanges) {
      const bound = change.key !== null && duplicates.has(change.key.id);
      if (!bound) this.#orders.get(change.orderId)?.ship(change);
      if (!bound && committed.unchanged[change.orderId] === undefined) this.#move(change, batch);
    }
    for (const edit of batch.edits) this.#edit(edit, batch);
    this.#count(batch.owners.length > 1 ? 'batches of several shards' : 'batches');
    for (const [id, book] of this.#books) {
      const [row] = this.#world.postgres.products([id]);
      if (row !== undefined) book.checkRow(row);
    }
  }

  /** What one owner says to another. */
  said(from: OwnerId, to: OwnerId, message: PeerMessage): void {
    this.#takingTimes.said(this.#world.clock.now, message, { from, to });
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
    const effect = this.#requests.effectOf(command);
    this.#count('replayed' in answer && answer.replayed ? `${answer.type} again` : answer.type);
    switch (answer.type) {
      case 'accepted':
      case 'changed': {
        const told = JSON.stringify(answer.type === 'accepted' ? answer.order : answer.available);
        if (effect === undefined) fail('I2', `${answer.type} without a COMMIT: ${command.id}`);
        if (effect?.answer !== told) fail('I3', `${command.id} is answered in another way`);
        if (!answer.replayed) this.#requests.first(command.id);
        return;
      }
      case 'edited':
        if (this.#edits.get(command.n) !== answer.version || command.kind !== 'edit-product') {
          return fail('I2', `${command.id} made no version ${answer.version}`);
        }
        this.#book(command.productId).told(answer.version, this.#world.clock.now);
        this.#requests.first(command.id);
        return;
      case 'version-differs':
        this.#checkVersion(request, answer.version);
        return;
      case 'cart-changed':
        this.#checkCartChanged(command);
        return;
      case 'status-changed':
      case 'status-kept':
        if (command.kind !== 'change-status') return fail('I8', 'a status of something else');
        this.#orders.get(command.orderId)?.checkAnswer(command, answer, request.sentAt);
        return;
      case 'key-reused':
        if (!this.#requests.isMisuse(command)) fail('I3', `${command.id} is bound to nothing else`);
        return;
      case 'refused':
      case 'insufficient-stock': {
        if (effect !== undefined && effect.since < request.sentAt) {
          fail('I3', `${command.id} is bound and was refused`);
        }
        if (answer.type === 'refused') this.#checkRefusal(request, answer.refusal);
        const age = this.#world.clock.now - (this.#fencedAt.get(owner) ?? Infinity);
        if (age > this.#world.limits.proofAgeMsMax)
          fail('I5', `owner ${owner} refuses, fenced ${age} ms`);
        return;
      }
      case 'shed':
        return;
    }
  }

  /** Once everything is settled and every hold has had its time. */
  checkEnd(): void {
    for (const order of this.#orders.values()) order.checkEnd();
  }

  #addOrder(decided: DecidedOrder, batch: Batch): void {
    const { command, homePartition, order } = decided;
    const { id, lines } = command;
    const request = this.#requests.open(id, command.requestHash);
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
    this.#closeCart(command);
    this.#count(command.otherShards === null ? 'orders' : 'orders of several shards');
    lines.forEach(({ productId, quantity }, i) => {
      const owner = this.#owners[this.#shardOf(partitionOf(productId))];
      const line = order.lines[i];
      if (owner === undefined || !batch.owners.includes(owner) || line === undefined) {
        return fail('I5', `${id} sells ${productId} without its owner`);
      }
      const taken = { home: batch.ownerId, order: id, owner };
      const isLocal = command.otherShards === null;
      const decidedAt = isLocal ? order.createdAt : this.#takingTimes.find(taken);
      const { userId } = command;
      const { currency } = order;
      const sale = { ...line, orderId: id, userId, units: quantity, currency, owner, decidedAt };
      const terms = this.#book(productId).sell(sale);
      if (decidedAt === terms.saleStartsAt) this.#count('sold in the first millisecond');
      if (decidedAt + 1 === terms.saleEndsAt) this.#count('sold in the last millisecond');
      if (terms.perCustomerLimit !== null) this.#count('sold under a limit');
    });
    this.#orders.set(id, new OrderBook(decided, this.#world.postgres.shop, this.#world.clock.now));
  }

  /** One order per cart, at the version and with the lines that it then had. */
  #closeCart({ id, cart, lines }: PlaceCommand): void {
    if (cart === null) return;
    this.#count('checkouts');
    if (this.#ordered.has(cart.id)) fail('I3', `${cart.id} became two orders`);
    this.#ordered.add(cart.id);
    const row = this.#world.postgres.shop.carts.get(cart.id);
    const isAsRead =
      row?.version === cart.version && JSON.stringify(row.lines) === JSON.stringify(lines);
    if (!isAsRead || row.orderId !== id) fail('I4', `${id} is not what was in ${cart.id}`);
    if (cart.key !== null) this.#bind(cart.key.id, cart.key.requestHash, id);
  }

  #edit(edit: EditProductCommand, batch: Batch): void {
    const { n, id, requestHash, productId, changes } = edit;
    const size = batch.orders.length + batch.stockChanges.length + batch.statusChanges.length;
    if (size > 0 || batch.edits.length > 1) fail('I9', `${id} shares its batch`);
    this.#requests.open(id, requestHash);
    this.#checkHome(partitionOf(productId), batch);
    const book = this.#book(productId);
    if (edit.ifVersion !== null && edit.ifVersion !== book.terms.version) {
      fail('I6', `${id} is for version ${edit.ifVersion} and not ${book.terms.version}`);
    }
    const { perCustomerLimit: before } = book.terms;
    book.edit(changes, batch.ownerId, this.#world.clock.now);
    if (before === null && book.terms.perCustomerLimit !== null) this.#count('first limits');
    if (before !== null && book.terms.perCustomerLimit === null) this.#count('limits lifted');
    this.#edits.set(n, book.terms.version);
  }

  #checkRefusal({ command, resent }: Request, refusal: Refusal): void {
    const { now } = this.#world.clock;
    this.#count(refusal.code);
    // Without a key and other shards nothing is waited for between decision and answer.
    const isQuick = !command.keyed && !resent && !('otherShards' in command && command.otherShards);
    // A repeat is refused with the first one that is under way, and that was sent before.
    const from = isQuick ? now : this.#requests.firstSentAt(command.id);
    const period = { from, to: now };
    const starts = refusal.items.length === 1 ? refusal.startsAt : undefined;
    for (const { productId } of refusal.items) {
      const book = this.#books.get(productId);
      if (refusal.code === 'product-not-found') {
        if (book !== undefined) fail('I4', `${productId} does exist`);
      } else if (book === undefined) fail('I4', `${productId} does not exist`);
      else book.checkRefusal(refusal.code, period, starts);
      if (!isQuick || book === undefined) continue;
      if (now + 1 === book.terms.saleStartsAt) this.#count('refused a millisecond early');
      if (now === book.terms.saleEndsAt) this.#count('refused when it ended');
    }
  }

  #checkVersion({ command, sentAt }: Request, version: number): void {
    if (command.kind !== 'edit-product') return fail('I8', 'a version of something else');
    const period = { from: sentAt, to: this.#world.clock.now };
    const isSo = this.#book(command.productId).hadVersion(version, period);
    if (!isSo || version === command.ifVersion) fail('I6', `${command.id} differs from ${version}`);
  }

  /** A version is never had again. */
  #checkCartChanged(command: Command): void {
    const cart = command.kind === 'place' ? command.cart : null;
    if (cart === null) return fail('I8', `${command.id} has no cart`);
    const row = this.#world.postgres.shop.carts.get(cart.id);
    if (row?.version === cart.version) fail('I8', `${cart.id} did not change`);
  }

  #addStock(change: ChangeStockCommand, available: number | undefined): void {
    this.#requests.open(change.id, change.requestHash);
    this.#bind(change.id, change.requestHash, JSON.stringify(available));
    this.#book(change.productId).stocked += change.delta;
  }

  #move(change: StatusChange, batch: Batch): void {
    const { orderId, to, key } = change;
    const order = this.#orders.get(orderId);
    if (order === undefined) return fail('I4', `${orderId} has a status and does not exist`);
    const { command, homePartition } = order.decided;
    this.#checkHome(homePartition, batch);
    order.change(change, this.#world.clock.now);
    this.#count(to);
    if (to === 'EXPIRED' || to === 'CANCELLED') {
      const { now } = this.#world.clock;
      for (const { productId } of command.lines) this.#book(productId).free(orderId, now);
    }
    if (key !== null) {
      this.#requests.open(key.id, key.requestHash);
      this.#bind(key.id, key.requestHash, to);
    } else if (to !== 'EXPIRED' && !this.#requests.isAsked(orderId, to)) {
      fail('I8', `nobody asked for ${orderId} to become ${to}`);
    }
  }

  #bind(id: string, hash: string, answer: string): void {
    this.#requests.bind(id, { hash, answer, since: this.#world.clock.now });
  }

  #checkHome(home: PartitionId, batch: Batch): void {
    const owner = this.#owners[this.#shardOf(home)];
    if (owner !== batch.ownerId) fail('I5', `owner ${batch.ownerId} acts for ${owner}`);
  }

  #shardOf(partition: PartitionId): number {
    return shardOf(partition, this.#world.shards);
  }

  #book(id: ProductId): ProductBook {
    return this.#books.get(id) ?? fail('I4', `${id} does not exist`);
  }

  #count(what: string): void {
    this.seen[what] = (this.seen[what] ?? 0) + 1;
  }
}
