/**
 * The OrderGateway of one HTTP thread: names each request, sends it to the shard that owns its
 * products, and turns the shard's answer - or its absence - into an outcome.
 *
 * Owns: the requests without an answer (requests.ts), the groups not yet posted, the links to the
 * shards. Does not own: any decision.
 * Neighbours: HTTP calls it; each shard is one MessagePort (domain/wire.ts); the supervisor connects
 * and disconnects shards.
 *
 * I9 every request has a deadline; at most `waitingMax` are open.
 */
import type { MessagePort } from 'node:worker_threads';
import { unreachable } from '../domain/errors.ts';
import { partitionOf, shardOf } from '../domain/ids.ts';
import type { OrderId, PartitionId, ProductId, UserId } from '../domain/ids.ts';
import type {
  ChangeStatusOutcome,
  ChangeStockOutcome,
  EditProductOutcome,
  PlaceOrderOutcome,
  ShedCode,
} from '../domain/outcome.ts';
import type {
  ChangeStatus,
  ChangeStock,
  EditProduct,
  OrderGateway,
  PlaceOrder,
} from '../domain/ports.ts';
import type { Answer, Command, ToRouter, ToShard } from '../domain/wire.ts';
import { editCommand, placeCommand, statusCommand, stockCommand } from './commands.ts';
import { canonicalLines } from './request-identity.ts';
import { Requests } from './requests.ts';
import type { Waiter } from './waiter.ts';

/** Commands per post: a post costs far more than what it carries, and a large group waits long. */
const GROUP_COMMANDS = 16;
/** Milliseconds between looks for requests past their deadline. */
const SWEEP_MS = 50;

export interface RouterOptions {
  readonly shards: number;
  readonly requestTimeoutMs: number;
  /** Requests without a final answer; more are shed. */
  readonly waitingMax: number;
  /** Told whenever `impediment` changes. */
  readonly onImpediment: (impediment: string | null) => void;
}

/** The way to one shard. */
interface Link {
  /** Null while the shard has no owner that serves. */
  port: MessagePort | null;
  /** The shard proves its ownership; without that it sheds everything. */
  proven: boolean;
  group: Command[];
}

export class Router implements OrderGateway {
  readonly #options: RouterOptions;
  readonly #requests = new Requests();
  readonly #links: readonly Link[];
  #postScheduled = false;
  #lastN = 0;
  /** What was told last. */
  #impediment: string | null = null;
  /** What is answered instead of sending; null while the shards serve. */
  #closed: ShedCode | null = 'database-unavailable';

  constructor(options: RouterOptions) {
    this.#options = options;
    this.#links = Array.from({ length: options.shards }, () => ({
      port: null,
      proven: false,
      group: [],
    }));
    // Never cleared: whoever still waits when the router closes has a deadline too.
    setInterval(
      () => this.#requests.expire(performance.now() - options.requestTimeoutMs),
      SWEEP_MS,
    ).unref();
  }

  /** Requests without an answer. */
  get waiting(): number {
    return this.#requests.waiting;
  }

  /** Why some orders cannot be decided now, fit for an operator; null when all can. */
  get impediment(): string | null {
    for (const [shard, { port, proven }] of this.#links.entries()) {
      if (port === null) return `shard ${shard} is being replaced`;
      if (!proven) return `PostgreSQL does not answer shard ${shard}`;
    }
    return null;
  }

  /**
   * A new owner serves the shard, and the one before it is fenced: whatever waits for that one is
   * sent to this one.
   */
  connect(shard: number, port: MessagePort): void {
    const link = this.#link(shard);
    link.port = port;
    link.proven = true;
    link.group = [];
    port.on('message', (message: ToRouter) => {
      if (link.port === port) this.#hear(link, message);
    });
    for (const command of this.#requests.move(shard)) this.#send(shard, command);
    this.#tell();
  }

  /** The shard's thread is gone; new requests for it are shed until another one is connected. */
  disconnect(shard: number): void {
    const link = this.#link(shard);
    link.port?.close();
    link.port = null;
    this.#tell();
  }

  /** All shards are connected and may be asked. */
  open(): void {
    this.#closed = null;
    this.#tell();
  }

  /** New requests are shed with `code`; those under way get their answers. */
  close(code: ShedCode): void {
    this.#closed = code;
  }

  placeOrder(request: PlaceOrder): Promise<PlaceOrderOutcome> {
    const lines = canonicalLines(request.lines);
    const { shard, otherShards } = this.#shardsOf(lines);
    const refused = this.#cannotSend(shard);
    if (refused !== null) return Promise.resolve(refused);
    // Spelled out, since it runs for every order: copying objects into each other takes time.
    this.#lastN += 1;
    const arrival = { n: this.#lastN, now: Date.now(), lines, otherShards };
    const command = placeCommand(request, arrival);
    const since = performance.now();
    return new Promise((resolve) => {
      const { metadata } = request;
      this.#ask({ kind: 'place', shard, command, metadata, since, moved: false, resolve });
    });
  }

  changeStock(request: ChangeStock): Promise<ChangeStockOutcome> {
    const shard = this.#shardOf(partitionOf(request.productId));
    const refused = this.#cannotSend(shard);
    if (refused !== null) return Promise.resolve(refused);
    const command = stockCommand(request, this.#arrival());
    return new Promise((resolve) => {
      this.#ask({ kind: 'change-stock', ...this.#sentTo(shard), command, resolve });
    });
  }

  editProduct(request: EditProduct): Promise<EditProductOutcome> {
    const shard = this.#shardOf(partitionOf(request.productId));
    const refused = this.#cannotSend(shard);
    if (refused !== null) return Promise.resolve(refused);
    const command = editCommand(request, this.#arrival());
    return new Promise((resolve) => {
      this.#ask({ kind: 'edit-product', ...this.#sentTo(shard), command, resolve });
    });
  }

  changeStatus(request: ChangeStatus): Promise<ChangeStatusOutcome> {
    const partitions = [...new Set(request.productIds.map(partitionOf))];
    const shard = this.#shardOf(lowest(partitions));
    const refused = this.#cannotSend(shard);
    if (refused !== null) return Promise.resolve(refused);
    const command = statusCommand(request, { ...this.#arrival(), partitions });
    return new Promise((resolve) => {
      this.#ask({ kind: 'change-status', ...this.#sentTo(shard), command, resolve });
    });
  }

  #arrival(): { readonly n: number; readonly now: number } {
    this.#lastN += 1;
    return { n: this.#lastN, now: Date.now() };
  }

  #sentTo(shard: number): Pick<Waiter, 'shard' | 'since' | 'moved'> {
    return { shard, since: performance.now(), moved: false };
  }

  #ask(waiter: Waiter): void {
    this.#requests.add(waiter);
    this.#send(waiter.shard, waiter.command);
  }

  unsettledCustomer(id: OrderId): UserId | undefined {
    return this.#requests.unsettledCustomer(id);
  }

  /** `overloaded` is said before anything is posted, so nothing can have been decided. */
  #cannotSend(shard: number): { readonly type: 'shed'; readonly code: ShedCode } | null {
    if (this.#closed !== null) return { type: 'shed', code: this.#closed };
    const full = this.#requests.open >= this.#options.waitingMax;
    if (full || this.#link(shard).port === null) return { type: 'shed', code: 'overloaded' };
    return null;
  }

  /** The home shard of an order, which owns the lowest partition, and the others with lines of it. */
  #shardsOf(lines: readonly { readonly productId: ProductId }[]): {
    readonly shard: number;
    readonly otherShards: readonly number[] | null;
  } {
    const [first] = lines;
    if (first === undefined) throw new Error('an order without lines reached the router');
    if (lines.length === 1) {
      return { shard: this.#shardOf(partitionOf(first.productId)), otherShards: null };
    }
    const partitions = lines.map(({ productId }) => partitionOf(productId));
    const shard = this.#shardOf(lowest(partitions));
    const others = new Set(partitions.map((partition) => this.#shardOf(partition)));
    others.delete(shard);
    return { shard, otherShards: others.size === 0 ? null : [...others] };
  }

  #shardOf(partition: PartitionId): number {
    return shardOf(partition, this.#links.length);
  }

  #link(shard: number): Link {
    const link = this.#links[shard];
    if (link === undefined) throw new Error(`there is no shard ${shard}`);
    return link;
  }

  #hear(link: Link, message: ToRouter): void {
    switch (message.type) {
      case 'answers':
        for (const answer of message.answers) {
          this.#requests.settle(this.#closed === null ? whileOpen(answer) : answer);
        }
        return;
      case 'proven':
        link.proven = message.proven;
        this.#tell();
        return;
      case 'ready':
        return;
      default:
        unreachable(message);
    }
  }

  #tell(): void {
    const { impediment } = this;
    if (this.#closed !== null || impediment === this.#impediment) return;
    this.#impediment = impediment;
    this.#options.onImpediment(impediment);
  }

  /** Posts in groups: full ones at once, so that shard and HTTP work side by side, the rest last. */
  #send(shard: number, command: Command): void {
    const link = this.#link(shard);
    link.group.push(command);
    if (link.group.length >= GROUP_COMMANDS) {
      post(link);
    } else if (!this.#postScheduled) {
      this.#postScheduled = true;
      setImmediate(() => {
        this.#postScheduled = false;
        for (const each of this.#links) post(each);
      });
    }
  }
}

/**
 * A shard that is restarted sheds as if the service stopped, also what it was to hold for the orders
 * of other shards. The service goes on: nothing was decided, and the same request can succeed soon.
 */
function whileOpen(answer: Answer): Answer {
  if (answer.type !== 'shed' || answer.code !== 'shutting-down') return answer;
  return { ...answer, code: 'overloaded' };
}

/** What is not posted when the shard dies still waits, and is sent to the next owner. */
function post(link: Link): void {
  if (link.group.length === 0) return;
  const message: ToShard = { type: 'commands', commands: link.group };
  link.group = [];
  link.port?.postMessage(message);
}

function lowest(partitions: readonly PartitionId[]): PartitionId {
  const [first, ...rest] = partitions;
  if (first === undefined) throw new Error('an order without lines reached the router');
  return rest.reduce((low, partition) => (partition < low ? partition : low), first);
}
