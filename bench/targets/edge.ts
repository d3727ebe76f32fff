/** The real HTTP edge for whatever is measured behind it: only POST /orders leads anywhere. */
import type { FastifyInstance } from 'fastify';
import { AppError } from '../../src/domain/errors.ts';
import type { OrderGateway } from '../../src/domain/ports.ts';
import { buildApp } from '../../src/http/build-app.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { effectId } from '../../src/db/effect-id.ts';
import { BENCH_JWT_SECRET } from '../tokens.ts';

export interface EdgeOptions {
  readonly placeOrder: OrderGateway['placeOrder'];
  /** Prometheus's text. */
  readonly renderMetrics?: () => string;
}

const shed = () => Promise.resolve({ type: 'shed', code: 'overloaded' } as const);
const noDatabase = () => Promise.reject(new AppError('database-unavailable'));

/** Listens on a free port of 127.0.0.1 and prints its URL. */
export async function startEdge(options: EdgeOptions): Promise<FastifyInstance> {
  const { placeOrder, renderMetrics = () => '' } = options;
  const gateway: OrderGateway = {
    placeOrder,
    unsettledCustomer: () => undefined,
    changeStock: shed,
    editProduct: shed,
    changeStatus: shed,
  };
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
    renderMetrics: () => Promise.resolve(renderMetrics()),
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
  return app;
}
