-- Each commit session stages its batches here; a row is
--   o  an order with its first line       l  a further line of an order
--   s  a stock change without a key       k  a stock change with one
--      (id of the effect; quantity = delta, name = reason, user_id = author; the columns of an
--      order are filled for a moment's row in orders, see merge.sql)
CREATE TEMP TABLE batch_rows (
  kind           "char" NOT NULL,
  id             uuid NOT NULL,
  product_id     uuid NOT NULL,
  quantity       bigint NOT NULL,
  unit_price     bigint,
  sequence       bigint,
  name           text,
  user_id        uuid,
  request_hash   bytea,
  home_partition smallint,
  currency       text,
  total          bigint,
  reference      text,
  metadata       jsonb,
  created_at     timestamptz,
  expires_at     timestamptz
) ON COMMIT DELETE ROWS;
