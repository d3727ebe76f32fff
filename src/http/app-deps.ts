import type { Logger } from 'pino';

import type { Accounts, Catalogue, OrderGateway, OrderReader, Readiness } from '../domain/ports.ts';
import type { PasswordHashing } from './password-hash.ts';

/** What the HTTP edge is told by config; nothing here reads the environment. */
export interface AppSettings {
  /** HS256 key of access tokens; at least 32 bytes, checked in config. */
  readonly jwtSecret: string | Uint8Array;
  readonly jwtTtlSeconds: number;
  /** The gateway's bound on an answer, milliseconds; socket timeouts are set above it. */
  readonly requestTimeoutMs: number;
  /** As Fastify's option: true, false, or addresses of trusted proxies. */
  readonly trustProxy: boolean | string;
}

/** Everything `buildApp` needs; ports only, so that tests and the benchmark's roof pass fakes. */
export interface AppDeps {
  readonly gateway: OrderGateway;
  readonly orders: OrderReader;
  readonly catalogue: Catalogue;
  readonly accounts: Accounts;
  readonly readiness: Readiness;
  readonly logger: Logger;
  readonly settings: AppSettings;
  /** Wall clock, milliseconds since the epoch; `Date.now` unless a test says otherwise. */
  readonly clock?: () => number;
  /** Argon2id unless a test says otherwise. */
  readonly passwords?: PasswordHashing;
}
