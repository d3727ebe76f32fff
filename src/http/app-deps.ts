import type { Logger } from 'pino';

import type { Carts } from '../domain/cart.ts';
import type { ProductMaker } from '../domain/catalogue.ts';
import type { Decisions } from '../domain/decision.ts';
import type { EngineControl, Inspector } from '../domain/inspection.ts';
import type { MerchantOrders } from '../domain/merchant-order.ts';
import type { OperatorLog } from '../domain/operator-action.ts';
import type { Payments } from '../domain/payment.ts';
import type { Accounts, Catalogue, OrderGateway, OrderReader, Readiness } from '../domain/ports.ts';
import type { Webhooks, WebhookTargets } from '../domain/webhook.ts';
import type { Tracing } from '../telemetry/tracing.ts';
import type { ShopKey } from './access-tokens.ts';
import type { AnswerObserver } from './observe-answers.ts';
import type { PasswordHashing } from './password-hash.ts';

/** What the HTTP edge is told by config; nothing here reads the environment. */
export interface AppSettings {
  /** HS256 key of access tokens; at least 32 bytes, checked in config. */
  readonly jwtSecret: string | Uint8Array;
  readonly jwtTtlSeconds: number;
  /** Null = only our own access tokens are accepted. */
  readonly shopKey: ShopKey | null;
  /** Per account and per address; 0 = unlimited. */
  readonly loginAttemptsPerMinute: number;
  /** Per customer or address; 0 = unlimited. */
  readonly rateLimitPerMinute: number;
  /** Whose pages may call from a browser. */
  readonly corsOrigins: readonly string[];
  /** The gateway's bound on an answer, milliseconds; socket timeouts are set above it. */
  readonly requestTimeoutMs: number;
  /** The one proxy in front of us says the client's address, last in X-Forwarded-For. */
  readonly trustProxy: boolean;
  /** For /metrics; null = only this machine is answered. */
  readonly metricsToken: string | null;
}

/** Everything `buildApp` needs; ports only, so that tests and the benchmark's roof pass fakes. */
export interface AppDeps {
  readonly gateway: OrderGateway;
  readonly orders: OrderReader;
  readonly merchantOrders: MerchantOrders;
  readonly payments: Payments;
  readonly catalogue: Catalogue;
  readonly products: ProductMaker;
  readonly carts: Carts;
  readonly webhooks: Webhooks;
  readonly webhookTargets: WebhookTargets;
  readonly accounts: Accounts;
  readonly readiness: Readiness;
  readonly decisions: Decisions;
  readonly inspector: Inspector;
  readonly control: EngineControl;
  readonly operatorLog: OperatorLog;
  /** Prometheus's text; it must not reject. */
  readonly renderMetrics: () => Promise<string>;
  /** Told of every answer. */
  readonly answerObservers?: readonly AnswerObserver[];
  /** Null or not given = no request is traced. */
  readonly tracing?: Pick<Tracing, 'startRequest'> | null;
  readonly logger: Logger;
  readonly settings: AppSettings;
  /** The ioredis client that limits are counted with; unless given they are counted in here. */
  readonly redis?: object | null;
  /** Wall clock, milliseconds since the epoch; `Date.now` unless a test says otherwise. */
  readonly clock?: () => number;
  /** Argon2id unless a test says otherwise. */
  readonly passwords?: PasswordHashing;
}
