/**
 * The real HTTP edge with no engine behind it: authentication, validation, identity of the request
 * and our answer, decided on the spot. Prints its URL when ready.
 */
import { AppError } from '../../src/domain/errors.ts';
import type { OrderGateway } from '../../src/domain/ports.ts';
import { buildApp } from '../../src/http/build-app.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { effectId } from '../../src/db/effect-id.ts';
import { canonicalLines, orderHash } from '../../src/workers/request-identity.ts';
import { BENCH_JWT_SECRET } from '../tokens.ts';

const HOLD_MS = 900_000;
let sequence = 0;

const gateway: OrderGateway = {
  placeOrder: ({ userId, idempotencyKey, lines: asked, reference, metadata }) => {
    const lines = canonicalLines(asked);
    orderHash({ userId, lines, reference, metadata: null });
    const items = lines.map((line) => {
      sequence += 1;
      return { ...line, name: 'Roof', unitPrice: 1999, sequence, shippedAt: null, tracking: null };
    });
    const createdAt = Date.now();
    const order = {
      id: effectId(userId, idempotencyKey ?? ''),
      userId,
      status: 'WAITING_PAYMENT' as const,
      items,
      currency: 'USD',
      total: items.reduce((sum, { unitPrice, quantity }) => sum + unitPrice * quantity, 0),
      reference,
      metadata,
      payments: [],
      createdAt,
      expiresAt: createdAt + HOLD_MS,
    };
    return Promise.resolve({ type: 'accepted', replayed: false, order });
  },
  unsettledCustomer: () => undefined,
  changeStock: () => Promise.resolve({ type: 'shed', code: 'overloaded' }),
  editProduct: () => Promise.resolve({ type: 'shed', code: 'overloaded' }),
  changeStatus: () => Promise.resolve({ type: 'shed', code: 'overloaded' }),
};

const noDatabase = () => Promise.reject(new AppError('database-unavailable'));

const app = await buildApp({
  gateway,
  orders: { findOrder: noDatabase, listOrders: noDatabase, listEvents: noDatabase },
  merchantOrders: { ownProducts: noDatabase, listOrders: noDatabase },
  payments: { pay: noDatabase },
  catalogue: { findProduct: noDatabase, listProducts: noDatabase },
  products: { createProduct: noDatabase },
  carts: {
    createCart: noDatabase,
    addItem: noDatabase,
    setQuantity: noDatabase,
    removeItem: noDatabase,
    deleteCart: noDatabase,
    findCart: noDatabase,
    readCart: noDatabase,
    noteOrdered: noDatabase,
    listCarts: noDatabase,
    findProducts: noDatabase,
  },
  webhooks: {
    createWebhook: noDatabase,
    findWebhook: noDatabase,
    listWebhooks: noDatabase,
    changeWebhook: noDatabase,
    deleteWebhook: noDatabase,
    listDeliveries: noDatabase,
    replayDelivery: noDatabase,
  },
  webhookTargets: { refusal: () => undefined },
  accounts: {
    register: noDatabase,
    findCredentials: noDatabase,
    findUser: noDatabase,
    setRole: noDatabase,
  },
  readiness: { check: () => ({ ready: true }) },
  decisions: { orderIdOf: ({ userId, key }) => effectId(userId, key), findAccepted: noDatabase },
  inspector: {
    actors: () => Promise.resolve([]),
    actor: () => Promise.resolve(undefined),
    shards: () => Promise.resolve([]),
    batches: () => [],
    refusal: () => Promise.resolve(undefined),
  },
  control: { restartShard: () => Promise.resolve(undefined) },
  operatorLog: { record: noDatabase, settle: noDatabase, list: noDatabase },
  renderMetrics: () => Promise.resolve(''),
  logger: createLogger({ level: 'info' }),
  settings: {
    jwtSecret: BENCH_JWT_SECRET,
    jwtTtlSeconds: 3600,
    requestTimeoutMs: 5000,
    trustProxy: false,
    shopKey: null,
    loginAttemptsPerMinute: 10,
    rateLimitPerMinute: 0,
    corsOrigins: [],
    metricsToken: null,
  },
});
process.stdout.write(`${await app.listen({ host: '127.0.0.1', port: 0 })}\n`);
