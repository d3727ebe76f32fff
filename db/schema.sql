-- The whole schema of Hedonify. Applied in one transaction to an empty schema; PostgreSQL >= 15.
--
-- Orders and their lines have no foreign keys on purpose: a check takes FOR KEY SHARE on the hot
-- product row, the very lock this engine avoids, and costs 13-20 % each. `npm run audit` proves
-- the references instead.

-- One row: the digest of this file and merge.sql as they were applied (src/db/schema.ts).
CREATE TABLE schema_info (digest text NOT NULL);

CREATE TYPE user_role AS ENUM ('customer', 'merchant', 'admin');
CREATE TYPE product_status AS ENUM ('draft', 'active', 'paused', 'archived');
CREATE TYPE order_status AS ENUM
  ('WAITING_PAYMENT', 'PAID', 'SHIPPING', 'COMPLETED', 'EXPIRED', 'CANCELLED');
CREATE TYPE ledger_kind AS ENUM ('opening', 'sale', 'change');

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

-- One row per batch that ended: committed, or proven aborted.
CREATE TABLE commit_batches (
  owner_id     integer NOT NULL,
  no           integer NOT NULL,
  aborted      boolean NOT NULL,
  orders       integer NOT NULL,
  committed_at timestamptz NOT NULL,
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

-- Keyed commands other than orders: the effect, bound to the key in the transaction that made it.
CREATE TABLE keyed_effects (
  id           uuid PRIMARY KEY,
  user_id      uuid NOT NULL,
  request_hash bytea NOT NULL,
  stock_after  bigint NOT NULL,
  created_at   timestamptz NOT NULL
);

-- The second witness of every stock movement: one row per product and change or batch of sales.
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
