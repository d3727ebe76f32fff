/** The shop around the order engine: stores, caches and jobs over one pool. Wired for main alone. */
import type { Logger } from 'pino';
import { CachedCarts } from './cache/cached-carts.ts';
import { CachedCatalogue } from './cache/cached-catalogue.ts';
import { createMemoryCache } from './cache/memory-cache.ts';
import { RedisCache } from './cache/redis-cache.ts';
import type { Config } from './config.ts';
import { createAccountStore } from './db/account-store.ts';
import { createCartStore } from './db/cart-store.ts';
import { createDecisionReader } from './db/decision-reader.ts';
import { createMerchantOrderReader } from './db/merchant-order-reader.ts';
import { createOperatorLog } from './db/operator-log.ts';
import { createOrderReader } from './db/order-reader.ts';
import { createPaymentStore } from './db/payment-store.ts';
import type { createPool } from './db/pool.ts';
import { createProductReader } from './db/product-reader.ts';
import { createProductStore } from './db/product-store.ts';
import { createWebhookOutbox } from './db/webhook-outbox.ts';
import { createDeliveryQueue } from './db/webhook-queue.ts';
import { createWebhookStore } from './db/webhook-store.ts';
import { createWebhookSweep } from './db/webhook-sweep.ts';
import type { OrderGateway } from './domain/ports.ts';
import type { AppDeps } from './http/app-deps.ts';
import { orderJson } from './http/order-json.ts';
import { CartExpiry } from './jobs/cart-expiry.ts';
import { confirmPayment } from './jobs/confirm-payment.ts';
import { PaymentJobs } from './jobs/payment-jobs.ts';
import { PaymentSimulator } from './jobs/payment-simulator.ts';
import { WebhookJobs } from './jobs/webhook-jobs.ts';
import { createSendPost } from './jobs/webhook-post.ts';
import { WebhookTarget } from './jobs/webhook-target.ts';
import type { Metrics } from './telemetry/metrics.ts';

export interface ShopParts {
  readonly config: Config;
  readonly pool: ReturnType<typeof createPool>;
  readonly gateway: OrderGateway;
  readonly metrics: Pick<Metrics, 'lookedUp'>;
  readonly logger: Logger;
}

type ShopPorts = Pick<
  AppDeps,
  | 'accounts'
  | 'carts'
  | 'catalogue'
  | 'decisions'
  | 'merchantOrders'
  | 'operatorLog'
  | 'orders'
  | 'payments'
  | 'products'
  | 'redis'
  | 'webhooks'
  | 'webhookTargets'
>;

export interface Shop {
  readonly ports: ShopPorts;
  /** Starts the jobs; the engine must serve. */
  start(): void;
  /** Ends the jobs, and then needs neither engine nor pool. HTTP must be closed. */
  stop(): Promise<void>;
}

/** Nothing is asked of PostgreSQL before `start`; Redis is looked for at once, and nobody waits. */
export function openShop(parts: ShopParts): Shop {
  const { config, pool, metrics } = parts;
  const redis = openRedis(parts);
  const cache = redis ?? createMemoryCache();
  const carts = createCartStore(pool, { ttlMs: config.cartTtlMs });
  const webhookTargets = new WebhookTarget({ allowPrivate: config.webhookAllowPrivate });
  const payments = createPaymentJobs(parts);
  const jobs = [payments, createCartExpiry(parts, carts), createWebhookJobs(parts, webhookTargets)];
  return {
    ports: {
      accounts: createAccountStore(pool),
      carts: new CachedCarts({ carts, cache, onLookUp: (hit) => metrics.lookedUp('carts', hit) }),
      catalogue: new CachedCatalogue({
        catalogue: createProductReader(pool),
        cache,
        onLookUp: (hit) => metrics.lookedUp('products', hit),
      }),
      decisions: createDecisionReader(pool),
      merchantOrders: createMerchantOrderReader(pool),
      operatorLog: createOperatorLog(pool),
      orders: createOrderReader(pool),
      payments,
      products: createProductStore(pool),
      redis: redis?.client ?? null,
      webhooks: createWebhookStore(pool),
      webhookTargets,
    },
    start: () => {
      for (const job of jobs) job.start();
    },
    stop: async () => {
      redis?.close();
      await Promise.all(jobs.map((job) => job.stop()));
    },
  };
}

function openRedis({ config, logger }: ShopParts): RedisCache | null {
  if (config.redisUrl === null) return null;
  return new RedisCache({
    url: config.redisUrl,
    readMsMax: config.requestTimeoutMs,
    onChange: (impediment) => {
      if (impediment === null) logger.info('Redis is in use');
      else logger.warn({ reason: impediment }, 'Redis is away; working on without it');
    },
  });
}

function createPaymentJobs({ pool, gateway, logger }: ShopParts): PaymentJobs {
  const deps = { gateway, payments: createPaymentStore(pool) };
  const provider = new PaymentSimulator({
    // When this fails, the job that asked the provider says the same.
    onConfirmation: (it) => void confirmPayment(deps, it).catch(() => undefined),
    clock: Date.now,
  });
  return new PaymentJobs({ ...deps, provider, logger, clock: Date.now });
}

function createCartExpiry(
  { logger }: ShopParts,
  carts: ReturnType<typeof createCartStore>,
): CartExpiry {
  const onError = (err: unknown): void => logger.warn({ err }, 'expired carts were not deleted');
  return new CartExpiry({ carts, onError });
}

function createWebhookJobs({ pool, logger }: ShopParts, target: WebhookTarget): WebhookJobs {
  return new WebhookJobs({
    outbox: createWebhookOutbox(pool, { orderJson }),
    queue: createDeliveryQueue(pool),
    sweep: createWebhookSweep(pool),
    send: createSendPost({ target }),
    logger,
    clock: Date.now,
  });
}
