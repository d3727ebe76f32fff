-- The whole schema of Hedonify. Applied in one transaction to an empty schema; PostgreSQL >= 15.
--
-- Orders and their lines have no foreign keys on purpose: a check takes FOR KEY SHARE on the hot
-- product row, the very lock this engine avoids, and costs 13-20 % each. `npm run audit` proves
-- the references instead.

-- One row: the digest of this file and merge.sql as they were applied (src/db/schema.ts).
CREATE TABLE schema_info (digest text NOT NULL);

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

-- stock is what is left to sell. No index holds a column that a sale changes and pages are kept
-- half empty, so the update of the hot row stays within its page (HOT).
CREATE TABLE products (
  id             uuid PRIMARY KEY,
  merchant_id    uuid NOT NULL REFERENCES users,
  name           text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
  description    text NOT NULL,
  price_amount   bigint NOT NULL CHECK (price_amount BETWEEN 0 AND 100000000),
  currency       text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  status         product_status NOT NULL,
  sale_starts_at timestamptz,
  sale_ends_at   timestamptz,
  stock          bigint NOT NULL CHECK (stock >= 0),
  stock_version  bigint NOT NULL,
  sequence       bigint NOT NULL,
  version        bigint NOT NULL,
  created_at     timestamptz NOT NULL,
  updated_at     timestamptz NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX products_created_idx ON products (created_at DESC, id DESC);
CREATE INDEX products_merchant_idx ON products (merchant_id, created_at DESC, id DESC);

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
CREATE TABLE commit_batches (
  owner_id     integer NOT NULL,
  no           integer NOT NULL,
  aborted      boolean NOT NULL,
  orders       integer NOT NULL,
  committed_at timestamptz NOT NULL,
  report       jsonb,
  PRIMARY KEY (owner_id, no)
);

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
-- a stock change the stock right after it, of a status change its order.
CREATE TABLE keyed_effects (
  id           uuid PRIMARY KEY,
  user_id      uuid NOT NULL,
  request_hash bytea NOT NULL,
  stock_after  bigint,
  order_id     uuid,
  created_at   timestamptz NOT NULL,
  CHECK ((stock_after IS NULL) <> (order_id IS NULL))
);

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
