/** Small in-memory ports: what they do not do, the edge must not need. */
import type { LightMyRequestResponse } from 'fastify';
import type { FastifyInstance, InjectOptions } from 'fastify';
import { pino } from 'pino';

import { parseOrderId, parseProductId, parseUserId } from '../../src/domain/ids.ts';
import type { OrderId, PaymentId, ProductId, UserId } from '../../src/domain/ids.ts';
import { merchantViewOf } from '../../src/domain/merchant-order.ts';
import type { MerchantOrderFilter, MerchantOrders } from '../../src/domain/merchant-order.ts';
import type { Payments, PayOrder, PayOutcome } from '../../src/domain/payment.ts';
import type {
  CreateProduct,
  CreateProductOutcome,
  ProductMaker,
} from '../../src/domain/catalogue.ts';
import type { Order, OrderEvent } from '../../src/domain/order.ts';
import type {
  ChangeStatusOutcome,
  ChangeStockOutcome,
  EditProductOutcome,
  PlaceOrderOutcome,
} from '../../src/domain/outcome.ts';
import type {
  Accounts,
  Catalogue,
  ChangeStatus,
  ChangeStock,
  Credentials,
  EditProduct,
  OrderGateway,
  OrderReader,
  Page,
  PageRequest,
  PlaceOrder,
  RegisterOutcome,
} from '../../src/domain/ports.ts';
import type { Product } from '../../src/domain/product.ts';
import type { Role, User } from '../../src/domain/user.ts';
import type { AppDeps, AppSettings } from '../../src/http/app-deps.ts';
import { buildApp } from '../../src/http/build-app.ts';
import { createAccessTokens } from '../../src/http/access-tokens.ts';
import type { PasswordHashing } from '../../src/http/password-hash.ts';
import { FakeCarts } from './fake-carts.ts';
import { FakeControl, FakeDecisions, FakeInspector, FakeOperatorLog } from './fake-engine.ts';
import { pageOf } from './fake-pages.ts';
import { FakeTargets, FakeWebhooks } from './fake-webhooks.ts';

export const NOW = Date.parse('2030-01-02T03:04:05.678Z');
export const SECRET = 'a secret of the tests, at least 32 bytes';

function uuid(kind: string, n: number): string {
  return `00000000-0000-7000-8${kind}-${String(n).padStart(12, '0')}`;
}

function known<T>(id: T | undefined): T {
  if (id === undefined) throw new Error('not an id');
  return id;
}

export const userId = (n: number): UserId => known(parseUserId(uuid('001', n)));
export const productId = (n: number): ProductId => known(parseProductId(uuid('002', n)));
export const paymentId = (n: number): PaymentId => uuid('004', n) as PaymentId;
export const orderId = (n: number): OrderId => known(parseOrderId(uuid('003', n)));

export const CUSTOMER = userId(1);
export const STRANGER = userId(2);
export const MERCHANT = userId(3);
export const OTHER_MERCHANT = userId(4);
export const ADMIN = userId(5);

export function makeProduct(n: number, changes: Partial<Product> = {}): Product {
  return {
    id: productId(n),
    merchantId: MERCHANT,
    name: `Product ${n}`,
    description: '',
    price: { amount: 1999, currency: 'USD' },
    available: 10,
    perCustomerLimit: null,
    saleStartsAt: null,
    saleEndsAt: null,
    status: 'active',
    version: 1,
    createdAt: NOW + n,
    updatedAt: NOW + n,
    ...changes,
  };
}

export function makeOrder(n: number, changes: Partial<Order> = {}): Order {
  return {
    id: orderId(n),
    userId: CUSTOMER,
    status: 'WAITING_PAYMENT',
    items: [
      {
        productId: productId(1),
        quantity: 2,
        name: 'Product 1',
        unitPrice: 1999,
        sequence: 7,
        shippedAt: null,
        tracking: null,
      },
    ],
    currency: 'USD',
    total: 3998,
    reference: null,
    metadata: null,
    payments: [],
    createdAt: NOW + n,
    expiresAt: NOW + n + 900_000,
    ...changes,
  };
}

/** Answers what it is told to, and remembers what it was asked. */
class FakeGateway implements OrderGateway {
  readonly placed: PlaceOrder[] = [];
  readonly changed: ChangeStock[] = [];
  readonly edits: EditProduct[] = [];
  readonly statusChanges: ChangeStatus[] = [];
  placeOutcome: PlaceOrderOutcome = { type: 'accepted', replayed: false, order: makeOrder(1) };
  stockOutcome: ChangeStockOutcome = { type: 'changed', replayed: false, available: 15 };
  statusOutcome: ChangeStatusOutcome = { type: 'changed', replayed: false };
  /** What the change does to the other ports. */
  onStatusChange: () => void = () => {};
  editOutcome: (edit: EditProduct) => EditProductOutcome = () => ({ type: 'edited', version: 2 });
  /** An order waits for it. */
  gate: () => Promise<void> = async () => {};

  async placeOrder(request: PlaceOrder): Promise<PlaceOrderOutcome> {
    this.placed.push(request);
    await this.gate();
    return this.placeOutcome;
  }

  /** Orders that were answered `unknown`, by id, with their customer. */
  readonly unsettled = new Map<string, UserId>();

  unsettledCustomer(id: string): UserId | undefined {
    return this.unsettled.get(id);
  }

  async changeStock(request: ChangeStock): Promise<ChangeStockOutcome> {
    this.changed.push(request);
    return this.stockOutcome;
  }

  async editProduct(request: EditProduct): Promise<EditProductOutcome> {
    this.edits.push(request);
    return this.editOutcome(request);
  }

  async changeStatus(request: ChangeStatus): Promise<ChangeStatusOutcome> {
    this.statusChanges.push(request);
    this.onStatusChange();
    return this.statusOutcome;
  }
}

class FakeOrders implements OrderReader {
  readonly rows: Order[] = [];
  readonly events = new Map<string, readonly OrderEvent[]>();

  /** As if somebody had changed it. */
  change(n: number, changes: Partial<Order>): void {
    const at = this.rows.findIndex(({ id }) => id === orderId(n));
    const row = this.rows[at];
    if (row !== undefined) this.rows[at] = { ...row, ...changes };
  }

  async findOrder(id: OrderId): Promise<Order | undefined> {
    return this.rows.find((order) => order.id === id);
  }

  async listEvents(id: OrderId): Promise<readonly OrderEvent[]> {
    return this.events.get(id) ?? [];
  }

  async listOrders(
    filter: Parameters<OrderReader['listOrders']>[0],
    page: PageRequest,
  ): Promise<Page<Order>> {
    const own = this.rows.filter(
      (order) =>
        order.userId === filter.userId &&
        (filter.status === null || order.status === filter.status),
    );
    return pageOf(own, page);
  }
}

/** Over the orders and the catalogue of the app. */
class FakeMerchantOrders implements MerchantOrders {
  readonly #orders: readonly Order[];
  readonly #products: readonly Product[];

  constructor(orders: readonly Order[], products: readonly Product[]) {
    this.#orders = orders;
    this.#products = products;
  }

  async ownProducts(
    merchantId: UserId,
    productIds: readonly ProductId[],
  ): Promise<ReadonlySet<ProductId>> {
    const own = this.#products.filter((product) => product.merchantId === merchantId);
    return new Set(own.map(({ id }) => id).filter((id) => productIds.includes(id)));
  }

  async listOrders(filter: MerchantOrderFilter, page: PageRequest): Promise<Page<Order>> {
    const ids = this.#products.map(({ id }) => id);
    const own = await this.ownProducts(filter.merchantId, ids);
    const shown = this.#orders.filter(
      ({ status, items }) =>
        (filter.status === null || status === filter.status) &&
        items.some(
          ({ productId: id }) =>
            own.has(id) && (filter.productId === null || id === filter.productId),
        ),
    );
    return pageOf(
      shown.map((order) => merchantViewOf(order, own)),
      page,
    );
  }
}

/** Answers what it is told to, and remembers what it was asked. */
class FakePayments implements Payments {
  readonly requests: PayOrder[] = [];
  outcome: PayOutcome = {
    type: 'started',
    payment: { id: paymentId(1), status: 'PENDING', attempt: 1 },
    replayed: false,
  };
  failure: Error | null = null;

  async pay(request: PayOrder): Promise<PayOutcome> {
    this.requests.push(request);
    if (this.failure !== null) throw this.failure;
    return this.outcome;
  }
}

class FakeCatalogue implements Catalogue {
  readonly rows: Product[] = [];

  async findProduct(id: ProductId): Promise<Product | undefined> {
    return this.rows.find((product) => product.id === id);
  }

  async listProducts(
    filter: Parameters<Catalogue['listProducts']>[0],
    page: PageRequest,
  ): Promise<Page<Product>> {
    const { q, merchantId, status } = filter;
    const found = this.rows.filter(
      (product) =>
        product.status === status &&
        (merchantId === null || product.merchantId === merchantId) &&
        (q === null || product.name.toLowerCase().includes(q.toLowerCase())),
    );
    return pageOf(found, page);
  }
}

class FakeProducts implements ProductMaker {
  readonly created: CreateProduct[] = [];
  outcome: CreateProductOutcome = { type: 'created', product: makeProduct(1), replayed: false };

  async createProduct(request: CreateProduct): Promise<CreateProductOutcome> {
    this.created.push(request);
    return this.outcome;
  }
}

class FakeAccounts implements Accounts {
  readonly rows: Credentials[] = [];

  async register(account: {
    readonly username: string;
    readonly email: string;
    readonly passwordHash: string;
    readonly role: Role;
  }): Promise<RegisterOutcome> {
    const { username, email, passwordHash, role } = account;
    const same = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();
    if (this.rows.some(({ user }) => same(user.email, email))) return { type: 'email-taken' };
    if (this.rows.some(({ user }) => same(user.username, username))) {
      return { type: 'username-taken' };
    }
    const user: User = {
      id: userId(100 + this.rows.length),
      username,
      email,
      role,
      createdAt: NOW,
    };
    this.rows.push({ user, passwordHash });
    return { type: 'registered', user };
  }

  async findCredentials(email: string): Promise<Credentials | undefined> {
    return this.rows.find(({ user }) => user.email.toLowerCase() === email.toLowerCase());
  }

  async findUser(id: UserId): Promise<User | undefined> {
    return this.rows.find(({ user }) => user.id === id)?.user;
  }

  async setRole(id: UserId, role: Role): Promise<User | undefined> {
    const at = this.rows.findIndex(({ user }) => user.id === id);
    const found = this.rows[at];
    if (found === undefined) return undefined;
    const user = { ...found.user, role };
    this.rows[at] = { ...found, user };
    return user;
  }
}

/** Not a hash at all: fast, and it remembers what it checked. */
class FakePasswords implements PasswordHashing {
  readonly verified: string[] = [];

  async hash(password: string): Promise<string> {
    return `fake:${password}`;
  }

  async verify(password: string, phc: string): Promise<boolean> {
    this.verified.push(phc);
    return phc === `fake:${password}`;
  }
}

/** One line of the log, as pino writes it. */
export type LogLine = Record<string, unknown>;

/** An app over fakes, with everything a test may look at or turn. */
export class TestApp {
  readonly gateway = new FakeGateway();
  readonly orders = new FakeOrders();
  readonly catalogue = new FakeCatalogue();
  readonly merchantOrders = new FakeMerchantOrders(this.orders.rows, this.catalogue.rows);
  readonly payments = new FakePayments();
  readonly carts = new FakeCarts(this.catalogue.rows);
  readonly products = new FakeProducts();
  readonly webhooks = new FakeWebhooks();
  readonly webhookTargets = new FakeTargets();
  readonly accounts = new FakeAccounts();
  readonly inspector = new FakeInspector();
  readonly control = new FakeControl();
  readonly operatorLog = new FakeOperatorLog();
  readonly decisions = new FakeDecisions();
  readonly passwords = new FakePasswords();
  readonly log: LogLine[] = [];
  now = NOW;
  /** Why the service is not ready. */
  notReady: string | null = null;
  readonly app: Promise<FastifyInstance>;

  constructor(changes: Partial<AppDeps> = {}, settings: Partial<AppSettings> = {}) {
    const { gateway, orders, catalogue, products, carts, accounts, passwords } = this;
    const { merchantOrders, payments } = this;
    const write = (line: string): void => void this.log.push(JSON.parse(line));
    this.app = buildApp({
      gateway,
      orders,
      merchantOrders,
      payments,
      catalogue,
      products,
      carts,
      webhooks: this.webhooks,
      webhookTargets: this.webhookTargets,
      accounts,
      passwords,
      readiness: {
        check: () =>
          this.notReady === null ? { ready: true } : { ready: false, reason: this.notReady },
      },
      inspector: this.inspector,
      control: this.control,
      operatorLog: this.operatorLog,
      decisions: this.decisions,
      renderMetrics: async () => 'hedonify_ready 1\n',
      logger: pino({ level: 'debug' }, { write }),
      settings: {
        jwtSecret: SECRET,
        jwtTtlSeconds: 3600,
        requestTimeoutMs: 5000,
        trustProxy: false,
        shopKey: null,
        loginAttemptsPerMinute: 10,
        rateLimitPerMinute: 0,
        corsOrigins: [],
        metricsToken: null,
        ...settings,
      },
      clock: () => this.now,
      ...changes,
    });
  }

  /** The Authorization header of a user. */
  bearer(user: UserId, role: Role): { authorization: string } {
    const clock = (): number => this.now;
    const tokens = createAccessTokens({ secret: SECRET, ttlSeconds: 3600, clock });
    return { authorization: `Bearer ${tokens.issue({ userId: user, role }).token}` };
  }

  get admin(): { authorization: string } {
    return this.bearer(ADMIN, 'admin');
  }

  get customer(): { authorization: string } {
    return this.bearer(CUSTOMER, 'customer');
  }

  async send(options: InjectOptions): Promise<LightMyRequestResponse> {
    return (await this.app).inject(options);
  }

  get(url: string, headers: Record<string, string> = {}): Promise<LightMyRequestResponse> {
    return this.send({ method: 'GET', url, headers });
  }

  post(
    url: string,
    payload: object,
    headers: Record<string, string> = {},
  ): Promise<LightMyRequestResponse> {
    return this.send({ method: 'POST', url, payload, headers });
  }
}
