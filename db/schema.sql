-- The whole schema of Hedonify. Applied in one transaction to an empty schema; PostgreSQL >= 15.
--
-- Orders and their lines have no foreign keys on purpose: a check takes FOR KEY SHARE on the hot
-- product row, the very lock this engine avoids, and costs 13-20 % each. `npm run audit` proves
-- the references instead.

-- One row: the digest of this file and merge.sql as they were applied (src/db/schema.ts).
CREATE TABLE schema_info (digest text NOT NULL);

-- For the search by a part of a product's name.
CREATE EXTENSION IF NOT EXISTS pg_trgm;

CREATE TYPE user_role AS ENUM ('customer', 'merchant', 'admin');
CREATE TYPE product_status AS ENUM ('draft', 'active', 'paused', 'archived');
-- In the order in which an order can reach them: the highest one reached is the one it has.
CREATE TYPE order_status AS ENUM
  ('WAITING_PAYMENT', 'PAID', 'SHIPPING', 'COMPLETED', 'EXPIRED', 'CANCELLED');
CREATE TYPE ledger_kind AS ENUM ('opening', 'sale', 'change', 'freed');

CREATE TABLE users (
  id            uuid PRIMARY KEY,
  username      text NOT NULL,
  email         text NOT NULL,
  password_hash text NOT NULL,
  role          user_role NOT NULL,
  created_at    timestamptz NOT NULL
);
CREATE UNIQUE INDEX users_email_key ON users (lower(email));
CREATE UNIQUE INDEX users_username_key ON users (lower(username));

-- stock is what is left to sell, supplied all that there ever was: what orders take and give back
-- changes only the one. No index holds a column that a sale changes and pages are kept
-- half empty, so the update of the hot row stays within its page (HOT).
CREATE TABLE products (
  id             uuid PRIMARY KEY,
  merchant_id    uuid NOT NULL REFERENCES users,
  name           text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
  description    text NOT NULL,
  price_amount   bigint NOT NULL CHECK (price_amount BETWEEN 0 AND 100000000),
  currency       text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  status         product_status NOT NULL,
  -- Units per customer over all live orders; null = no limit, and nothing is counted.
  per_customer_limit integer CHECK (per_customer_limit > 0),
  sale_starts_at timestamptz,
  sale_ends_at   timestamptz,
  stock          bigint NOT NULL CHECK (stock >= 0),
  supplied       bigint NOT NULL,
  stock_version  bigint NOT NULL,
  sequence       bigint NOT NULL,
  version        bigint NOT NULL,
  created_at     timestamptz NOT NULL,
  updated_at     timestamptz NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX products_created_idx ON products (created_at DESC, id DESC);
CREATE INDEX products_merchant_idx ON products (merchant_id, created_at DESC, id DESC);
-- The extension may have been installed before, in whatever schema.
DO $$ BEGIN
  EXECUTE format('CREATE INDEX products_name_idx ON products USING gin (name %I.gin_trgm_ops)',
                 (SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
                   WHERE e.extname = 'pg_trgm'));
END $$;

-- The ledger of merchant edits, version by version; version 1 is the product as it was created.
-- changes: what the edit set, and to what.
CREATE TABLE product_edits (
  product_id uuid NOT NULL,
  version    bigint NOT NULL CHECK (version > 1),
  changes    jsonb NOT NULL,
  reason     text,
  author     uuid NOT NULL,
  created_at timestamptz NOT NULL,
  owner_id   integer NOT NULL,
  batch_no   integer NOT NULL,
  PRIMARY KEY (product_id, version)
);

-- Units of limited products in live orders, by customer. Written only under the lock of the
-- product's row, so it needs no order of its own. A row of 0 units says as much as none.
CREATE TABLE customer_units (
  product_id uuid NOT NULL,
  user_id    uuid NOT NULL,
  units      bigint NOT NULL,
  PRIMARY KEY (product_id, user_id)
);

-- Who owns what. An owner is one incarnation of one shard thread; fenced_at set = it may never
-- commit again.
CREATE TABLE owners (
  id         integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  node       text NOT NULL,
  shard      smallint NOT NULL,
  started_at timestamptz NOT NULL,
  fenced_at  timestamptz,
  fenced_by  text
);
CREATE TABLE partitions (
  id       smallint PRIMARY KEY CHECK (id BETWEEN 0 AND 255),
  owner_id integer REFERENCES owners
);
INSERT INTO partitions (id) SELECT generate_series(0, 255);

-- How far unpaid orders have expired: no order of the partition with expires_at <= expired_until
-- waits for payment. Moved by the partition's owner: back too, when its clock was set back. The pages
-- are mostly empty, so that moving it once a second stays within a page (HOT).
CREATE TABLE expiry_watermarks (
  partition     smallint PRIMARY KEY CHECK (partition BETWEEN 0 AND 255),
  expired_until timestamptz NOT NULL
) WITH (fillfactor = 25);
INSERT INTO expiry_watermarks (partition, expired_until)
SELECT generate_series(0, 255), '-infinity';

-- One row. hold_ttl_max: the longest time that any order was ever given to pay, and so how far before
-- a watermark an order can have been made that expires after it.
CREATE TABLE engine_settings (hold_ttl_max interval NOT NULL);
CREATE UNIQUE INDEX engine_settings_one_row ON engine_settings ((true));
INSERT INTO engine_settings (hold_ttl_max) VALUES ('0');

-- One row per batch that ended: committed, or proven aborted. report: what merge_batch returned, for
-- whoever lost the answer; null = nothing to report.
--
-- It is the batch's row of the outbox, too: orders made, orders whose status changed (see
-- order_events), products that sold out or came back. pending: nobody has told the webhooks yet; a
-- batch that committed while there was no webhook is not pending. A table of its own cost a small
-- batch 6 % of its time. Kept for ever: order_ids also leads from a product's ledger to its orders
-- without an index on the lines.
CREATE TABLE commit_batches (
  owner_id     integer NOT NULL,
  no           integer NOT NULL,
  aborted      boolean NOT NULL DEFAULT false,
  orders       integer NOT NULL DEFAULT 0,
  committed_at timestamptz NOT NULL,
  report       jsonb,
  order_ids    uuid[],
  changed_ids  uuid[],
  sold_out     uuid[],
  restocked    uuid[],
  pending      boolean NOT NULL DEFAULT false,
  PRIMARY KEY (owner_id, no)
);
-- Ids do not compress: trying costs more than it saves.
ALTER TABLE commit_batches ALTER COLUMN order_ids SET STORAGE EXTERNAL;
CREATE INDEX commit_batches_pending_idx ON commit_batches (committed_at) WHERE pending;
CREATE VIEW outbox AS
  SELECT owner_id, no, order_ids, changed_ids, sold_out, restocked, pending,
         committed_at AS created_at
    FROM commit_batches WHERE NOT aborted;

-- id is a function of customer and Idempotency-Key (random without one): the primary key is the
-- durable arbiter of "once". request_hash covers the customer and the canonical request.
CREATE TABLE orders (
  id             uuid PRIMARY KEY,
  user_id        uuid NOT NULL,
  request_hash   bytea NOT NULL,
  owner_id       integer NOT NULL,
  batch_no       integer NOT NULL,
  home_partition smallint NOT NULL,
  status         order_status NOT NULL,
  currency       text NOT NULL,
  total          bigint NOT NULL CHECK (total >= 0),
  reference      text,
  metadata       jsonb,
  created_at     timestamptz NOT NULL,
  expires_at     timestamptz NOT NULL
);
CREATE INDEX orders_user_idx ON orders (user_id, created_at DESC, id DESC);
-- Orders arrive nearly sorted by time: a block range index costs nothing and finds the newest.
CREATE INDEX orders_created_idx ON orders USING brin (created_at) WITH (pages_per_range = 32);

CREATE TABLE order_items (
  order_id   uuid NOT NULL,
  product_id uuid NOT NULL,
  quantity   integer NOT NULL CHECK (quantity > 0),
  unit_price bigint NOT NULL CHECK (unit_price >= 0),
  sequence   bigint NOT NULL,
  name       text NOT NULL,
  shipped_at timestamptz,
  tracking   text,
  PRIMARY KEY (order_id, product_id)
);

-- One row per status that an order reached after WAITING_PAYMENT, written by the batch that changed
-- it. author null = the service itself: an expiry.
CREATE TABLE order_events (
  order_id   uuid NOT NULL,
  status     order_status NOT NULL CHECK (status <> 'WAITING_PAYMENT'),
  reason     text,
  author     uuid,
  created_at timestamptz NOT NULL,
  owner_id   integer NOT NULL,
  batch_no   integer NOT NULL,
  PRIMARY KEY (order_id, status)
);

-- Keyed commands other than orders: the effect, bound to the key in the transaction that made it. Of
-- a stock change the stock right after it, of a status change and of a checkout its order, of
-- anything else the answer.
CREATE TABLE keyed_effects (
  id           uuid PRIMARY KEY,
  user_id      uuid NOT NULL,
  request_hash bytea NOT NULL,
  stock_after  bigint,
  order_id     uuid,
  result       jsonb,
  created_at   timestamptz NOT NULL,
  CHECK (num_nonnulls(stock_after, order_id, result) = 1)
);

CREATE TYPE cart_status AS ENUM ('open', 'ordered');
-- version counts the changes of its lines. The merge of a batch closes it at the version that was
-- read, and from then on it names its order; an open one is deleted some time after expires_at.
CREATE TABLE carts (
  id         uuid PRIMARY KEY,
  user_id    uuid NOT NULL,
  status     cart_status NOT NULL,
  version    integer NOT NULL,
  order_id   uuid,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  CHECK ((status = 'ordered') = (order_id IS NOT NULL))
);
CREATE INDEX carts_user_idx ON carts (user_id, created_at DESC, id DESC);
CREATE INDEX carts_expiry_idx ON carts (expires_at) WHERE status = 'open';

-- unit_price, currency: what the product cost when the line was last touched.
CREATE TABLE cart_items (
  cart_id    uuid NOT NULL REFERENCES carts ON DELETE CASCADE,
  product_id uuid NOT NULL,
  quantity   integer NOT NULL CHECK (quantity > 0),
  unit_price bigint NOT NULL,
  currency   text NOT NULL,
  PRIMARY KEY (cart_id, product_id)
);

-- Of payments and webhook_deliveries: a row is a job while due_at is not null; whoever works on it
-- leases it by moving due_at ahead (leased says that it was moved for that and not for a pause), and
-- who has done it sets due_at to null.
CREATE TYPE payment_status AS ENUM ('PENDING', 'SUCCEEDED', 'FAILED', 'REFUNDED');
-- SUCCEEDED is set by the batch that sets its order PAID, refund_due by the one that cancels a paid
-- order, or when the money came for an order that could no longer be paid.
CREATE TABLE payments (
  id         uuid PRIMARY KEY,
  order_id   uuid NOT NULL,
  attempt    integer NOT NULL CHECK (attempt > 0),
  status     payment_status NOT NULL,
  scenario   text NOT NULL,
  delay_ms   integer NOT NULL,
  refund_due boolean NOT NULL DEFAULT false,
  tries      integer NOT NULL DEFAULT 0,
  due_at     timestamptz,
  leased     boolean NOT NULL DEFAULT false,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  UNIQUE (order_id, attempt)
);
-- One at a time.
CREATE UNIQUE INDEX payments_pending_key ON payments (order_id) WHERE status = 'PENDING';
CREATE INDEX payments_due_idx ON payments (due_at) WHERE due_at IS NOT NULL;

-- merchant_id: whose products and orders it is told of; null = everybody's.
CREATE TABLE webhooks (
  id          uuid PRIMARY KEY,
  user_id     uuid NOT NULL,
  merchant_id uuid,
  url         text NOT NULL,
  events      text[] NOT NULL,
  secret      text NOT NULL,
  active      boolean NOT NULL,
  created_at  timestamptz NOT NULL,
  updated_at  timestamptz NOT NULL
);
CREATE INDEX webhooks_user_idx ON webhooks (user_id, created_at DESC, id DESC);

CREATE TYPE delivery_status AS ENUM ('pending', 'delivered', 'dead');
-- subject_id: the order, or the product of a product's event; place: of two events of one order the
-- lower one is delivered first. body: exactly what is signed and sent.
CREATE TABLE webhook_deliveries (
  id          uuid PRIMARY KEY,
  webhook_id  uuid NOT NULL REFERENCES webhooks ON DELETE CASCADE,
  event_id    uuid NOT NULL,
  event_type  text NOT NULL,
  subject_id  uuid NOT NULL,
  place       smallint NOT NULL,
  body        text NOT NULL,
  status      delivery_status NOT NULL,
  tries       integer NOT NULL DEFAULT 0,
  due_at      timestamptz,
  leased      boolean NOT NULL DEFAULT false,
  -- Of the last try: the answer's status, or why there was none.
  http_status integer,
  failure     text,
  created_at  timestamptz NOT NULL,
  updated_at  timestamptz NOT NULL,
  UNIQUE (webhook_id, event_id)
);
CREATE INDEX webhook_deliveries_list_idx
  ON webhook_deliveries (webhook_id, created_at DESC, id DESC);
-- Dead letters among a million that were delivered.
CREATE INDEX webhook_deliveries_status_idx
  ON webhook_deliveries (webhook_id, status, created_at DESC, id DESC);
-- By webhook: what is due of a receiver that is away does not stand before what others wait for.
CREATE INDEX webhook_deliveries_due_idx
  ON webhook_deliveries (webhook_id, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX webhook_deliveries_order_idx
  ON webhook_deliveries (webhook_id, subject_id, place) WHERE status = 'pending';

-- What operators did to the running engine, recorded before it was done. target: the id of a product
-- or an order, or the number of a shard. outcome: `done`, or the code of the error that it ended with;
-- null = it is under way, or was cut off.
CREATE TYPE operator_action_kind AS ENUM ('pause', 'resume', 'restart', 'release');
CREATE TABLE operator_actions (
  id         uuid PRIMARY KEY,
  kind       operator_action_kind NOT NULL,
  target     text NOT NULL,
  reason     text,
  author     uuid NOT NULL,
  created_at timestamptz NOT NULL,
  outcome    text
);
CREATE INDEX operator_actions_list_idx ON operator_actions (created_at DESC, id DESC);

-- Binds the key of a command that no batch carries, as the last step of the transaction that carries
-- it out. False: the key is bound already, and the transaction must be rolled back. The claim is the
-- same row that a batch would insert, so whatever a customer does under one key, one thing happens.
CREATE FUNCTION bind_key(p_id uuid, p_user uuid, p_hash bytea, p_result jsonb) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  INSERT INTO orders (id, user_id, request_hash, owner_id, batch_no, home_partition, status,
                      currency, total, created_at, expires_at)
  VALUES (p_id, p_user, p_hash, 0, 0, 0, 'WAITING_PAYMENT', 'XXX', 0, clock_timestamp(),
          clock_timestamp())
  ON CONFLICT (id) DO NOTHING;
  IF NOT FOUND OR EXISTS (SELECT FROM keyed_effects WHERE id = p_id) THEN
    RETURN false;
  END IF;
  INSERT INTO keyed_effects (id, user_id, request_hash, result, created_at)
  VALUES (p_id, p_user, p_hash, p_result, clock_timestamp());
  DELETE FROM orders WHERE id = p_id;
  RETURN true;
END
$$;

-- The second witness of every stock movement: one row per product and change, or per product and
-- batch for what its orders took (sale) and its expiries and cancellations gave back (freed).
-- stock_after of version n is stock_after of version n - 1 plus delta.
CREATE TABLE stock_ledger (
  product_id    uuid NOT NULL,
  stock_version bigint NOT NULL,
  delta         bigint NOT NULL,
  stock_after   bigint NOT NULL CHECK (stock_after >= 0),
  kind          ledger_kind NOT NULL,
  owner_id      integer,
  batch_no      integer,
  reason        text,
  author        uuid,
  created_at    timestamptz NOT NULL,
  PRIMARY KEY (product_id, stock_version)
);
