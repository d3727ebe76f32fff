/** The scenarios on the real PostgreSQL, with real faults: they end as on the fake. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { withClient } from '../../src/db/client.ts';
import { replaceOwner, takeOver } from '../../src/db/ownership.ts';
import { ShardDatabase } from '../../src/db/shard-database.ts';
import type { OrderId, OwnerId, PaymentId, ProductId } from '../../src/domain/ids.ts';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { expectCleanAudit, makeProducts } from '../support/shop.ts';
import { until } from '../support/until.ts';
import { LossyProxy } from '../support/lossy-proxy.ts';
import type { FilledCart } from './scenario-commands.ts';
import { play } from './scenario-stage.ts';
import type { ScenarioDriver, Sessions } from './scenario-stage.ts';
import { HOLD_TTL_MS, SCENARIOS, SHARDS } from './scenarios.ts';
import type { Fault } from './scenarios.ts';

const NODE = 'scenario';
/** Application name of the sessions. */
const SHARD = 'scenario-shard';
const STATEMENT_TIMEOUT_MS = 300;
const SILENCE_MS = 600;

/** Each strikes once: a sequence does not roll back. */
const FAULTS_SQL = /* sql */ `
  CREATE SEQUENCE strikes;
  CREATE FUNCTION strike() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    IF nextval('strikes') > 1 THEN RETURN NEW; END IF;
    IF TG_NAME = 'deadlock' THEN RAISE EXCEPTION 'deadlock' USING ERRCODE = '40P01'; END IF;
    PERFORM pg_sleep(60);
    RETURN NEW;
  END $$;
  CREATE TRIGGER deadlock BEFORE INSERT ON commit_batches
    FOR EACH ROW WHEN (NOT NEW.aborted) EXECUTE FUNCTION strike();
  CREATE TRIGGER timeout BEFORE INSERT ON commit_batches
    FOR EACH ROW WHEN (NOT NEW.aborted) EXECUTE FUNCTION strike()`;

/** By hand, but by one who keeps the books: the audit would find anything else. */
const LOWER_SQL = /* sql */ `
  WITH lowered AS (
    UPDATE products
       SET stock = stock - $2, supplied = supplied - $2, stock_version = stock_version + 1
     WHERE id = $1 RETURNING id, stock_version, stock
  )
  INSERT INTO stock_ledger (product_id, stock_version, delta, stock_after, kind, owner_id, batch_no,
                            reason, created_at)
  SELECT l.id, l.stock_version, -$2, l.stock, 'change', b.owner_id, b.no, 'by hand',
         clock_timestamp()
    FROM lowered l, (SELECT owner_id, no FROM commit_batches WHERE NOT aborted LIMIT 1) b`;

const OPEN_CART_SQL = /* sql */ `
  INSERT INTO carts (id, user_id, status, version, created_at, expires_at)
  VALUES ($1, $2, 'open', 1, now(), now() + interval '1 hour')`;

const CHANGE_CART_SQL = /* sql */ `
  UPDATE carts SET version = version + 1 WHERE id = $1 AND user_id = $2 AND status = 'open'`;

const FILL_CART_SQL = /* sql */ `
  WITH emptied AS (
    DELETE FROM cart_items WHERE cart_id = $1 AND product_id <> ALL ($2::uuid[])
  )
  INSERT INTO cart_items (cart_id, product_id, quantity, unit_price, currency)
  SELECT $1, product_id, units, 1999, 'USD'
    FROM unnest($2::uuid[], $3::integer[]) AS line (product_id, units)
  ON CONFLICT (cart_id, product_id) DO UPDATE SET quantity = excluded.quantity`;

const START_PAYMENT_SQL = /* sql */ `
  INSERT INTO payments (id, order_id, attempt, status, scenario, delay_ms, due_at, created_at,
                        updated_at)
  VALUES ($1, $2, 1, 'PENDING', 'success', 0, now(), now(), now())`;

class PostgresDriver implements ScenarioDriver {
  readonly #database: TestDatabase;
  readonly #proxy: LossyProxy;
  #owners: readonly OwnerId[] = [];

  constructor(database: TestDatabase, proxy: LossyProxy) {
    this.#database = database;
    this.#proxy = proxy;
  }

  async begin(products: ReadonlyMap<ProductId, number>): Promise<void> {
    await this.#database.query('ALTER TABLE commit_batches DISABLE TRIGGER USER');
    for (const [id, stock] of products) await makeProducts(this.#database, { ids: [id], stock });
    const claim = { node: NODE, shards: SHARDS, holdTtlMs: HOLD_TTL_MS };
    const taken = await withClient(this.#asTaker, (client) => takeOver(client, claim));
    this.#owners = taken.owners;
  }

  async takeOver(
    shard: number,
    former: OwnerId | null,
  ): Promise<{ readonly ownerId: OwnerId; readonly sessions: Sessions }> {
    const ownerId = former === null ? this.#owners[shard] : await this.#replace(shard, former);
    if (ownerId === undefined) throw new Error(`shard ${shard} has no owner`);
    const sessions = await ShardDatabase.open({
      databaseUrl: this.#proxy.databaseUrl,
      applicationName: SHARD,
      statementTimeoutMs: STATEMENT_TIMEOUT_MS,
      silenceMsMax: SILENCE_MS,
      commitsInFlightMax: 2,
    });
    return { ownerId, sessions };
  }

  async harm(fault: Fault): Promise<void> {
    switch (fault) {
      case 'deadlock':
        return this.#arm('deadlock');
      case 'statement-timeout':
        return this.#arm('timeout');
      case 'lost-before':
        this.#proxy.loseNext('batch');
        return;
      case 'lost-after':
        this.#proxy.loseNext('answer');
    }
  }

  async goAway(): Promise<void> {
    await this.#proxy.shut();
    const sql = 'SELECT FROM pg_stat_activity WHERE application_name = $1';
    await until('the sessions are gone', async () => {
      return (await this.#database.query(sql, [SHARD])).length === 0;
    });
  }

  async comeBack(): Promise<void> {
    await this.#proxy.reopen();
  }

  async fill({ id, userId, version, lines }: FilledCart): Promise<void> {
    await this.#database.query(version === 1 ? OPEN_CART_SQL : CHANGE_CART_SQL, [id, userId]);
    const products = lines.map(({ productId }) => productId);
    const units = lines.map(({ quantity }) => quantity);
    await this.#database.query(FILL_CART_SQL, [id, products, units]);
  }

  async startPayment(payment: {
    readonly orderId: OrderId;
    readonly paymentId: PaymentId;
  }): Promise<void> {
    await this.#database.query(START_PAYMENT_SQL, [payment.paymentId, payment.orderId]);
  }

  async lower(product: ProductId, units: number): Promise<void> {
    await this.#database.query(LOWER_SQL, [product, units]);
  }

  async fence(owner: OwnerId): Promise<void> {
    const sql = 'UPDATE owners SET fenced_at = clock_timestamp(), fenced_by = $2 WHERE id = $1';
    await this.#database.query(sql, [owner, 'a rival']);
  }

  async stockOf(product: ProductId): Promise<number> {
    const sql = 'SELECT stock::integer FROM products WHERE id = $1';
    const [row] = await this.#database.query<{ stock: number }>(sql, [product]);
    return row?.stock ?? -1;
  }

  get #asTaker(): { readonly databaseUrl: string; readonly applicationName: string } {
    return { databaseUrl: this.#database.url, applicationName: 'taker' };
  }

  async #replace(shard: number, former: OwnerId): Promise<OwnerId> {
    const replacement = { node: NODE, shard, former };
    const end = await withClient(this.#asTaker, (client) => replaceOwner(client, replacement));
    if ('fencedBy' in end) throw new Error(`owner ${former} was fenced by ${end.fencedBy}`);
    return end.owner;
  }

  async #arm(trigger: string): Promise<void> {
    await this.#database.query('ALTER SEQUENCE strikes RESTART');
    await this.#database.query(`ALTER TABLE commit_batches ENABLE TRIGGER ${trigger}`);
  }
}

let database: TestDatabase;
let proxy: LossyProxy;

beforeAll(async () => {
  database = await createTestDatabase();
  await database.query(FAULTS_SQL);
  proxy = await LossyProxy.open(database.url);
});

afterAll(async () => {
  await proxy.shut();
  await expectCleanAudit(database);
  await database.close();
});

it.each(SCENARIOS)('$name', async (scenario) => {
  const { answers, stockAfter } = scenario;
  const driver = new PostgresDriver(database, proxy);
  expect(await play(scenario, driver)).toEqual({ answers, stockAfter });
});
