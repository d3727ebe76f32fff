-- Each commit session stages its batches here; a row is
--   o  an order with its first line       l  a further line of an order
--   s  a stock change without a key       k  a stock change with one
--      (id of the effect; quantity = delta, name = reason, user_id = author; the columns of an
--      order are filled for a moment's row in orders, see merge.sql)
--   t  a status change without a key      u  a status change with one
--      (id of the effect; product_id = the order, currency = the new status, reference = the array
--      of statuses that may become it, name = reason, user_id = author, created_at = when, metadata
--      = its payment or shipment; the others as with k)
--   c  the cart of an order, to be closed (id = the order, product_id = the cart, quantity = version)
--   b  the key of a cart's order (id of the effect; product_id = the order; the others as with k)
--   e  an edit of a product (metadata = the changes, name = reason, user_id = author, created_at = when)
--   f  units of a product that a customer's orders free; x an order whose status changed: never
--      sent, added by the merge
--
-- The columns of variable length come in a second statement that makes them PLAIN in the same
-- breath, so the table never gets a TOAST table: emptying one and its index after every COMMIT took
-- a quarter of a small batch's time. A row stays far below a page (bounds.ts: reference and
-- metadata are 2.5 KB at most).
CREATE TEMP TABLE batch_rows (
  kind           "char" NOT NULL,
  id             uuid NOT NULL,
  product_id     uuid NOT NULL,
  user_id        uuid,
  quantity       bigint NOT NULL,
  unit_price     bigint,
  sequence       bigint,
  total          bigint,
  created_at     timestamptz,
  expires_at     timestamptz,
  home_partition smallint
) ON COMMIT DELETE ROWS;
ALTER TABLE batch_rows
  ADD COLUMN name text,
  ADD COLUMN request_hash bytea,
  ADD COLUMN currency text,
  ADD COLUMN reference text,
  ADD COLUMN metadata jsonb,
  ALTER COLUMN name SET STORAGE PLAIN,
  ALTER COLUMN request_hash SET STORAGE PLAIN,
  ALTER COLUMN currency SET STORAGE PLAIN,
  ALTER COLUMN reference SET STORAGE PLAIN,
  ALTER COLUMN metadata SET STORAGE PLAIN;
