-- The commit of one batch: staged rows become orders, lines, statuses, stock and ledger, or nothing
-- at all.
--
-- Called between COPY into the session's own pg_temp.batch_rows and COMMIT. One VOLATILE function
-- of separate statements under READ COMMITTED, because each statement must see with a snapshot of
-- its own: the fence check and the owner locks in one statement, or REPEATABLE READ, would miss a
-- fence that was set while the lock was being waited for.
--
-- Lock order, the same in every batch of every shard: owners ascending, orders by id, payments by
-- id, products by id; customer_units only below the lock of their product. An ordered
-- CTE does not order an UPDATE, hence the SELECT ... ORDER BY ... FOR NO KEY UPDATE.
--
-- Raises HF001 "fenced" with the ids of the fenced owners in DETAIL, HF002 when what was staged is
-- not what the caller sent, or an order whose status is to change does not exist (then its id is in
-- DETAIL), 23514 when stock would fall below zero. Returns null, or what the caller cannot know:
-- {"duplicates": [ids that were bound already], "stockAfter": {id: units},
--  "unchanged": {order id: status}, "cartsChanged": [order ids],
--  "freed": [{"productId", "units", "stockVersion", "customers": [{"userId", "units"}]}]}.
-- The same stands in the batch's own row, for a caller who lost the answer.
CREATE FUNCTION merge_batch(
  p_owner         integer,
  p_no            integer,
  p_owners        integer[], -- ascending; the owner and those of every product touched
  p_orders        integer,
  p_rows          integer,   -- all staged rows
  p_changes       integer,   -- stock changes
  p_statuses      integer,   -- status changes
  p_keyed         integer,   -- changes of either kind with a key, and keys of carts' orders
  p_carts         integer,   -- orders that close a cart
  p_edits         integer,   -- edits of products
  p_limited       integer    -- orders with a line of a product that has a limit per customer
) RETURNS jsonb LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  v_now        timestamptz := clock_timestamp();
  v_owner      integer;
  v_fenced     integer[];
  v_count      integer;
  v_ids        uuid[];
  v_orders     integer := p_orders;
  v_keyed      integer := p_keyed;
  v_carts      uuid[];
  v_duplicates uuid[] := '{}';
  v_bound      uuid[];
  v_stock      jsonb;
  v_unchanged  jsonb;
  v_freed      jsonb;
  v_report     jsonb;
  v_limited    boolean;
  v_sold_out   uuid[];
  v_restocked  uuid[];
  v_refilled   uuid[];
  v_changed    uuid[];
  v_pending    boolean;
BEGIN
  -- (1) The batch names itself first: whoever must know whether it ended waits on this row.
  SELECT count(*), array_agg(id) FILTER (WHERE kind = 'o') INTO v_count, v_ids
    FROM pg_temp.batch_rows;
  INSERT INTO commit_batches (owner_id, no, aborted, orders, committed_at, order_ids)
  VALUES (p_owner, p_no, false, p_orders, v_now, v_ids);

  -- (2) A takeover holds these exclusively while it fences. 1214605645: the owner locks of ownership.ts.
  FOREACH v_owner IN ARRAY p_owners LOOP
    PERFORM pg_advisory_xact_lock_shared(1214605645, v_owner);
  END LOOP;

  -- (3) One by one: the plan of a look-up by key is kept, that of a list is made anew each time.
  FOREACH v_owner IN ARRAY p_owners LOOP
    PERFORM FROM owners WHERE id = v_owner AND fenced_at IS NULL;
    IF NOT FOUND THEN
      v_fenced := v_fenced || v_owner;
    END IF;
  END LOOP;
  IF v_fenced IS NOT NULL THEN
    RAISE EXCEPTION 'fenced' USING ERRCODE = 'HF001', DETAIL = v_fenced::text;
  END IF;

  -- (4)
  IF v_count <> p_rows THEN
    RAISE EXCEPTION 'staged % rows instead of %', v_count, p_rows USING ERRCODE = 'HF002';
  END IF;

  -- (5) An order whose cart is not open at its version has no effect.
  IF p_carts > 0 THEN
    v_carts := drop_changed_carts();
    IF v_carts IS NOT NULL THEN
      SELECT count(*) FILTER (WHERE kind = 'o'), count(*) FILTER (WHERE kind IN ('k', 'u', 'b'))
        INTO v_orders, v_keyed FROM pg_temp.batch_rows;
    END IF;
  END IF;

  IF v_orders + v_keyed > 0 THEN
    -- (6) Orders: a row that is there already wins, the key was bound before. A keyed command of
    -- another kind claims its id here too and gives the row back below: the one primary key that
    -- arbitrates orders arbitrates every key, also between two shards at the same moment.
    INSERT INTO orders (id, user_id, request_hash, owner_id, batch_no, home_partition, status,
                        currency, total, reference, metadata, created_at, expires_at)
    SELECT id, user_id, request_hash, p_owner, p_no, home_partition, 'WAITING_PAYMENT',
           currency, total, reference, metadata, created_at, expires_at
      FROM pg_temp.batch_rows WHERE kind IN ('o', 'k', 'u', 'b') ORDER BY id
    ON CONFLICT (id) DO NOTHING;
    GET DIAGNOSTICS v_count = ROW_COUNT;

    -- (7) A new statement, so that it sees the winner even when the insert had to wait for it.
    IF v_count <> v_orders + v_keyed THEN
      SELECT array_agg(o.id) INTO v_duplicates
        FROM pg_temp.batch_rows r JOIN orders o ON o.id = r.id
       WHERE r.kind IN ('o', 'k', 'u', 'b') AND (o.owner_id, o.batch_no) <> (p_owner, p_no);
      IF v_count + coalesce(cardinality(v_duplicates), 0) <> v_orders + v_keyed THEN
        RAISE EXCEPTION 'orders do not add up' USING ERRCODE = 'HF002';
      END IF;
    END IF;
    SELECT array_agg(k.id) INTO v_bound
      FROM pg_temp.batch_rows r JOIN keyed_effects k ON k.id = r.id
     WHERE r.kind IN ('o', 'k', 'u', 'b');
    IF v_bound IS NOT NULL THEN
      v_duplicates := v_duplicates || v_bound;
    END IF;
    IF p_carts > 0 AND v_duplicates <> '{}' THEN
      -- An order and the key that it came with take effect together or not at all.
      WITH bound AS (
        SELECT unnest(v_duplicates) AS id
      ), pairs AS (
        SELECT unnest(ARRAY[r.id, r.product_id]) AS id FROM pg_temp.batch_rows r
         WHERE r.kind = 'b' AND (r.id IN (SELECT id FROM bound)
                                 OR r.product_id IN (SELECT id FROM bound))
      )
      SELECT array_agg(id) INTO v_duplicates
        FROM (SELECT id FROM bound UNION SELECT id FROM pairs) every;
    END IF;
    IF v_duplicates <> '{}' THEN
      DELETE FROM orders
       WHERE id = ANY (v_duplicates) AND (owner_id, batch_no) = (p_owner, p_no);
      DELETE FROM pg_temp.batch_rows
       WHERE kind IN ('o', 'l', 'k', 'u', 'b', 'c') AND id IN (SELECT unnest(v_duplicates));
    END IF;
    IF p_carts > 0 THEN
      PERFORM close_carts();
    END IF;
    IF p_keyed > 0 AND p_changes > 0 THEN
      INSERT INTO keyed_effects (id, user_id, request_hash, stock_after, created_at)
      SELECT id, user_id, request_hash, 0, v_now
        FROM pg_temp.batch_rows WHERE kind = 'k' ORDER BY id;
      DELETE FROM orders USING pg_temp.batch_rows r WHERE orders.id = r.id AND r.kind = 'k';
    END IF;
  END IF;

  -- (8)
  IF p_statuses > 0 THEN
    v_unchanged := change_statuses(p_owner, p_no);
  END IF;

  -- (9) Lines: an order's first line stands in the order's own row.
  IF v_orders > 0 THEN
    INSERT INTO order_items (order_id, product_id, quantity, unit_price, sequence, name)
    SELECT id, product_id, quantity, unit_price, sequence, name
      FROM pg_temp.batch_rows WHERE kind IN ('o', 'l') ORDER BY id;
  END IF;

  -- (10) Products, from what was really inserted. Locked first, in order; nobody else writes them.
  PERFORM FROM products
    WHERE id IN (SELECT product_id FROM pg_temp.batch_rows) ORDER BY id FOR NO KEY UPDATE;

  -- (11) Units of limited products by customer; before the edits, which may set or lift a limit. What
  -- a batch frees may be of any product: nobody told its limit.
  v_limited := p_limited > 0;
  IF p_statuses > 0 AND NOT v_limited THEN
    v_limited := EXISTS (
      SELECT FROM pg_temp.batch_rows r
        JOIN products p ON p.id = r.product_id AND p.per_customer_limit IS NOT NULL
       WHERE r.kind = 'f');
  END IF;
  IF v_limited THEN
    INSERT INTO customer_units AS counted (product_id, user_id, units)
    SELECT r.product_id, r.user_id,
           sum(CASE r.kind WHEN 'f' THEN -r.quantity ELSE r.quantity END)
      FROM pg_temp.batch_rows r
      JOIN products p ON p.id = r.product_id AND p.per_customer_limit IS NOT NULL
     WHERE r.kind IN ('o', 'l', 'f')
     GROUP BY r.product_id, r.user_id
    ON CONFLICT (product_id, user_id) DO UPDATE SET units = counted.units + excluded.units;
  END IF;
  IF p_edits > 0 THEN
    PERFORM edit_products(p_owner, p_no, p_edits);
  END IF;

  -- (12) Stock and ledger: each change is a move of its own, in the order of the ids, ...
  IF p_changes > 0 THEN
    WITH placed AS (
      SELECT r.id, r.product_id, r.quantity AS delta, r.name AS reason, r.user_id AS author,
             p.stock_version + row_number() OVER w AS stock_version,
             p.stock + sum(r.quantity) OVER w AS stock_after
        FROM pg_temp.batch_rows r JOIN products p ON p.id = r.product_id
       WHERE r.kind IN ('s', 'k')
      WINDOW w AS (PARTITION BY r.product_id ORDER BY r.id ROWS UNBOUNDED PRECEDING)
    ), stocked AS (
      UPDATE products p
         SET stock = last.stock_after, stock_version = last.stock_version,
             supplied = p.supplied + last.stock_after - p.stock
        FROM (SELECT DISTINCT ON (product_id) product_id, stock_after, stock_version
                FROM placed ORDER BY product_id, stock_version DESC) last
       WHERE p.id = last.product_id
    ), ledger AS (
      INSERT INTO stock_ledger (product_id, stock_version, delta, stock_after, kind,
                                owner_id, batch_no, reason, author, created_at)
      SELECT product_id, stock_version, delta, stock_after, 'change', p_owner, p_no, reason, author,
             v_now
        FROM placed
    ), remembered AS (
      UPDATE keyed_effects k SET stock_after = placed.stock_after FROM placed WHERE k.id = placed.id
    )
    SELECT jsonb_object_agg(id, stock_after),
           array_agg(DISTINCT product_id) FILTER (WHERE stock_after = 0 AND delta < 0),
           array_agg(DISTINCT product_id) FILTER (WHERE stock_after = delta AND delta > 0)
      INTO v_stock, v_sold_out, v_restocked FROM placed;
  END IF;

  -- ... all sales of a product in this batch are one, ...
  IF v_orders > 0 THEN
    WITH sold AS (
      UPDATE products p
         SET stock = p.stock - sales.units,
             stock_version = p.stock_version + 1,
             sequence = greatest(p.sequence, sales.sequence)
        FROM (SELECT product_id, sum(quantity)::bigint AS units, max(sequence) AS sequence
                FROM pg_temp.batch_rows WHERE kind IN ('o', 'l') GROUP BY product_id) sales
       WHERE p.id = sales.product_id
      RETURNING p.id, p.stock_version, sales.units, p.stock
    ), ledger AS (
      INSERT INTO stock_ledger (product_id, stock_version, delta, stock_after, kind,
                                owner_id, batch_no, created_at)
      SELECT id, stock_version, -units, stock, 'sale', p_owner, p_no, v_now FROM sold
    )
    SELECT v_sold_out || array_agg(id) FILTER (WHERE stock = 0),
           EXISTS (SELECT FROM webhooks WHERE active)
      INTO v_sold_out, v_pending FROM sold;
  END IF;

  -- ... and so is all that it gets back: last, since no decision of this batch rests on it.
  IF p_statuses > 0 THEN
    WITH freed AS (
      UPDATE products p
         SET stock = p.stock + back.units, stock_version = p.stock_version + 1
        FROM (SELECT product_id, sum(quantity)::bigint AS units,
                     jsonb_agg(jsonb_build_object('userId', user_id, 'units', quantity))
                       FILTER (WHERE v_limited) AS customers
                FROM pg_temp.batch_rows WHERE kind = 'f' GROUP BY product_id) back
       WHERE p.id = back.product_id
      RETURNING p.id, p.stock_version, back.units, p.stock,
                CASE WHEN p.per_customer_limit IS NOT NULL THEN back.customers END AS customers
    ), ledger AS (
      INSERT INTO stock_ledger (product_id, stock_version, delta, stock_after, kind,
                                owner_id, batch_no, created_at)
      SELECT id, stock_version, units, stock, 'freed', p_owner, p_no, v_now FROM freed
    )
    SELECT jsonb_agg(jsonb_build_object(
             'productId', id, 'units', units, 'stockVersion', stock_version,
             'customers', coalesce(customers, '[]'))),
           array_agg(id) FILTER (WHERE stock = units)
      INTO v_freed, v_refilled FROM freed;
  END IF;

  -- (13) What others are to be told of, beyond the orders of (1), and the caller. Whether there is a
  -- webhook is asked behind the locks: one that was made while this batch waited is told of it.
  IF p_statuses > 0 THEN
    v_changed := ARRAY(SELECT id FROM pg_temp.batch_rows WHERE kind = 'x');
  END IF;
  IF v_stock IS NOT NULL OR v_unchanged IS NOT NULL OR v_freed IS NOT NULL OR v_carts IS NOT NULL
     OR v_duplicates <> '{}' THEN
    v_report := jsonb_build_object('duplicates', to_jsonb(v_duplicates),
                                   'stockAfter', coalesce(v_stock, '{}'),
                                   'unchanged', coalesce(v_unchanged, '{}'),
                                   'cartsChanged', coalesce(to_jsonb(v_carts), '[]'),
                                   'freed', coalesce(v_freed, '[]'));
  END IF;
  IF v_pending IS NULL THEN
    v_pending := (coalesce(cardinality(v_changed), 0) > 0
                  OR num_nonnulls(v_sold_out, v_restocked, v_refilled) > 0)
                 AND EXISTS (SELECT FROM webhooks WHERE active);
  END IF;
  IF v_pending OR v_report IS NOT NULL OR v_changed IS NOT NULL OR v_sold_out IS NOT NULL THEN
    UPDATE commit_batches
       SET report = v_report, changed_ids = v_changed, sold_out = v_sold_out,
           restocked = v_restocked || v_refilled,
           order_ids = CASE WHEN p_orders = 0 OR (v_carts IS NULL AND v_duplicates = '{}')
             THEN order_ids
             ELSE ARRAY(SELECT id FROM pg_temp.batch_rows WHERE kind = 'o') END,
           pending = v_pending
     WHERE owner_id = p_owner AND no = p_no;
  END IF;
  RETURN v_report;
END
$$;

-- Step (5) of merge_batch: locks the carts and takes orders out of the batch whose cart is neither
-- open at the staged version nor closed by that very order (which is then a repeat). A cart that
-- somebody else has locked is being changed: a whole batch does not wait for a customer who fiddles
-- with a cart while checking it out. Returns the ids of the orders taken out, or null. The settings
-- as with change_statuses.
CREATE FUNCTION drop_changed_carts() RETURNS uuid[] LANGUAGE plpgsql VOLATILE
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
  v_changed uuid[];
BEGIN
  WITH locked AS MATERIALIZED (
    SELECT r.id FROM pg_temp.batch_rows r JOIN carts c ON c.id = r.product_id
     WHERE r.kind = 'c' AND c.user_id = r.user_id
       AND (c.order_id = r.id OR (c.status = 'open' AND c.version = r.quantity))
       FOR NO KEY UPDATE OF c SKIP LOCKED
  )
  SELECT array_agg(id) INTO v_changed
    FROM pg_temp.batch_rows WHERE kind = 'c' AND id NOT IN (SELECT id FROM locked);
  IF v_changed IS NOT NULL THEN
    DELETE FROM pg_temp.batch_rows
     WHERE (kind IN ('o', 'l', 'c') AND id = ANY (v_changed))
        OR (kind = 'b' AND product_id = ANY (v_changed));
  END IF;
  RETURN v_changed;
END
$$;

-- After step (7) of merge_batch, for the orders that are left: closes their carts and binds the keys
-- that they came with.
CREATE FUNCTION close_carts() RETURNS void LANGUAGE plpgsql VOLATILE
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
  UPDATE carts SET status = 'ordered', order_id = r.id
    FROM pg_temp.batch_rows r WHERE r.kind = 'c' AND carts.id = r.product_id;
  INSERT INTO keyed_effects (id, user_id, request_hash, order_id, created_at)
  SELECT id, user_id, request_hash, product_id, created_at
    FROM pg_temp.batch_rows WHERE kind = 'b' ORDER BY id;
  DELETE FROM orders USING pg_temp.batch_rows r WHERE orders.id = r.id AND r.kind = 'b';
  -- They are done, and what stands in their product_id are no products.
  DELETE FROM pg_temp.batch_rows WHERE kind IN ('b', 'c');
END
$$;

-- Step (8) of merge_batch. The staged status changes become events, the keys of those that took
-- place are bound (all of them give back the row that claimed them), payments follow their orders,
-- and the units of all lines of orders that expired or were cancelled are staged to be freed (f).
-- What is left staged of the changes are the orders that changed (x). Returns null, or {order id:
-- status} of the orders that do not have the new status; where that is SHIPPING and lines were
-- shipped all the same, the key is bound too.
--
-- EXPIRED and CANCELLED are final whatever the caller allows: units are freed once.
--
-- The settings leave only the way from the staged rows through primary keys: plans are kept, and one
-- made while the tables were small would go on reading them whole when they are not.
CREATE FUNCTION change_statuses(p_owner integer, p_no integer) RETURNS jsonb
LANGUAGE plpgsql VOLATILE
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
  v_staged    bigint;
  v_changed   bigint;
  v_kept      bigint;
  v_unchanged jsonb;
  v_unknown   uuid;
  v_detailed  bigint;
  v_shipped   uuid[];
  v_cancelled uuid[];
BEGIN
  SELECT count(*), count(metadata) INTO v_staged, v_detailed
    FROM pg_temp.batch_rows WHERE kind IN ('t', 'u');
  DELETE FROM orders USING pg_temp.batch_rows r WHERE orders.id = r.id AND r.kind = 'u';

  PERFORM FROM orders
    WHERE id IN (SELECT product_id FROM pg_temp.batch_rows WHERE kind IN ('t', 'u'))
    ORDER BY id FOR NO KEY UPDATE;

  IF v_detailed > 0 THEN
    PERFORM FROM payments
      WHERE id IN (SELECT (metadata ->> 'paymentId')::uuid FROM pg_temp.batch_rows
                    WHERE kind IN ('t', 'u') AND metadata ->> 'kind' = 'payment')
      ORDER BY id FOR NO KEY UPDATE;
    v_shipped := ship_lines();
  END IF;

  -- A new statement, so that it sees what the ones before it waited for, and the lines they shipped.
  WITH changed AS (
    UPDATE orders o
       SET status = r.currency::order_status
      FROM pg_temp.batch_rows r
     WHERE r.kind IN ('t', 'u') AND o.id = r.product_id
       AND o.status = ANY (r.reference::order_status[])
       AND o.status NOT IN ('EXPIRED', 'CANCELLED')
       -- What is on its way to the customer cannot be put on sale again.
       AND NOT (r.currency = 'CANCELLED' AND o.status = 'PAID' AND EXISTS (
             SELECT FROM order_items i
              WHERE i.order_id = o.id AND i.shipped_at IS NOT NULL))
       AND (r.metadata IS NULL OR CASE r.metadata ->> 'kind'
             WHEN 'payment' THEN EXISTS (
               SELECT FROM payments p WHERE p.id = (r.metadata ->> 'paymentId')::uuid
                  AND p.order_id = o.id AND p.status = 'PENDING' AND NOT p.refund_due)
             ELSE NOT EXISTS (
               SELECT FROM order_items i WHERE i.order_id = o.id AND i.shipped_at IS NULL) END)
    RETURNING o.id AS order_id, o.user_id AS customer, o.status, r.kind, r.id, r.user_id,
              r.request_hash, r.name, r.created_at, r.metadata
  ), succeeded AS (
    UPDATE payments p
       SET status = 'SUCCEEDED', due_at = NULL, leased = false, updated_at = c.created_at
      FROM changed c
     WHERE c.metadata ->> 'kind' = 'payment' AND p.id = (c.metadata ->> 'paymentId')::uuid
  ), events AS (
    INSERT INTO order_events (order_id, status, reason, author, created_at, owner_id, batch_no)
    SELECT order_id, status, name, user_id, created_at, p_owner, p_no FROM changed
  ), bound AS (
    INSERT INTO keyed_effects (id, user_id, request_hash, order_id, created_at)
    SELECT id, user_id, request_hash, order_id, created_at FROM changed WHERE kind = 'u'
  ), freed AS (
    INSERT INTO pg_temp.batch_rows (kind, id, product_id, user_id, quantity)
    SELECT 'f', i.product_id, i.product_id, c.customer, sum(i.quantity)
      FROM changed c JOIN order_items i ON i.order_id = c.order_id
     WHERE c.status IN ('EXPIRED', 'CANCELLED')
     GROUP BY i.product_id, c.customer
  ), told AS (
    INSERT INTO pg_temp.batch_rows (kind, id, product_id, quantity)
    SELECT 'x', order_id, order_id, 0 FROM changed
  )
  SELECT count(*), array_agg(order_id) FILTER (WHERE status = 'CANCELLED')
    INTO v_changed, v_cancelled FROM changed;

  IF v_detailed > 0 THEN
    INSERT INTO keyed_effects (id, user_id, request_hash, order_id, created_at)
    SELECT id, user_id, request_hash, product_id, created_at FROM pg_temp.batch_rows r
     WHERE kind = 'u' AND product_id = ANY (v_shipped)
       AND NOT EXISTS (SELECT FROM keyed_effects k WHERE k.id = r.id);
  END IF;
  IF v_cancelled IS NOT NULL THEN
    UPDATE payments SET refund_due = true, due_at = clock_timestamp(), leased = false, tries = 0,
                        updated_at = clock_timestamp()
     WHERE order_id = ANY (v_cancelled) AND status = 'SUCCEEDED';
  END IF;

  IF v_changed < v_staged THEN
    SELECT jsonb_object_agg(o.id, o.status), count(*) INTO v_unchanged, v_kept
      FROM pg_temp.batch_rows r JOIN orders o ON o.id = r.product_id
     WHERE r.kind IN ('t', 'u')
       AND NOT EXISTS (SELECT FROM order_events e
                        WHERE e.order_id = o.id AND (e.owner_id, e.batch_no) = (p_owner, p_no));
    IF v_changed + v_kept <> v_staged THEN
      SELECT r.product_id INTO v_unknown
        FROM pg_temp.batch_rows r LEFT JOIN orders o ON o.id = r.product_id
       WHERE r.kind IN ('t', 'u') AND o.id IS NULL LIMIT 1;
      RAISE EXCEPTION 'status changes do not add up'
        USING ERRCODE = 'HF002', DETAIL = format('unknown order: %s', v_unknown);
    END IF;
  END IF;

  DELETE FROM pg_temp.batch_rows WHERE kind IN ('t', 'u');
  RETURN v_unchanged;
END
$$;

-- Marks the lines of the staged shipments whose order may be shipped: those of the merchant's
-- products, or all. Returns the orders of which there was a line to mark, or null.
CREATE FUNCTION ship_lines() RETURNS uuid[] LANGUAGE plpgsql VOLATILE
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
  v_shipped uuid[];
BEGIN
  WITH shipped AS (
    UPDATE order_items i
       SET shipped_at = r.created_at, tracking = r.metadata ->> 'tracking'
      FROM pg_temp.batch_rows r
      JOIN orders o ON o.id = r.product_id AND o.status = ANY (r.reference::order_status[])
     WHERE r.kind IN ('t', 'u') AND r.metadata ->> 'kind' = 'shipment'
       AND i.order_id = o.id AND i.shipped_at IS NULL
       AND (r.metadata ->> 'merchantId' IS NULL OR EXISTS (
             SELECT FROM products p WHERE p.id = i.product_id
                AND p.merchant_id = (r.metadata ->> 'merchantId')::uuid))
    RETURNING i.order_id
  )
  SELECT array_agg(DISTINCT order_id) INTO v_shipped FROM shipped;
  RETURN v_shipped;
END
$$;

-- Step (11) of merge_batch: merchant edits of products that are locked. A first limit counts what
-- customers have already; nothing of that product is sold meanwhile, since its owner waits. Its
-- orders are found through the batches that sold it: there is no index on the lines' products.
CREATE FUNCTION edit_products(p_owner integer, p_no integer, p_edits integer) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  v_edit  record;
  v_edits integer := 0;
BEGIN
  FOR v_edit IN
    SELECT r.product_id, r.metadata AS changes, r.name AS reason, r.user_id AS author,
           r.created_at, p.per_customer_limit AS former_limit, p.version + 1 AS version
      FROM pg_temp.batch_rows r JOIN products p ON p.id = r.product_id
     WHERE r.kind = 'e'
  LOOP
    v_edits := v_edits + 1;
    UPDATE products p
       SET name = coalesce(v_edit.changes ->> 'name', p.name),
           description = coalesce(v_edit.changes ->> 'description', p.description),
           price_amount = coalesce((v_edit.changes #>> '{price,amount}')::bigint, p.price_amount),
           currency = coalesce(v_edit.changes #>> '{price,currency}', p.currency),
           status = coalesce((v_edit.changes ->> 'status')::product_status, p.status),
           per_customer_limit = CASE WHEN v_edit.changes ? 'perCustomerLimit'
             THEN (v_edit.changes ->> 'perCustomerLimit')::integer ELSE p.per_customer_limit END,
           sale_starts_at = CASE WHEN v_edit.changes ? 'saleStartsAt'
             THEN timestamptz 'epoch'
                  + (v_edit.changes ->> 'saleStartsAt')::bigint * interval '1 millisecond'
             ELSE p.sale_starts_at END,
           sale_ends_at = CASE WHEN v_edit.changes ? 'saleEndsAt'
             THEN timestamptz 'epoch'
                  + (v_edit.changes ->> 'saleEndsAt')::bigint * interval '1 millisecond'
             ELSE p.sale_ends_at END,
           version = v_edit.version, updated_at = v_edit.created_at
     WHERE p.id = v_edit.product_id;
    INSERT INTO product_edits (product_id, version, changes, reason, author, created_at,
                               owner_id, batch_no)
    VALUES (v_edit.product_id, v_edit.version, v_edit.changes, v_edit.reason, v_edit.author,
            v_edit.created_at, p_owner, p_no);
    CONTINUE WHEN NOT v_edit.changes ? 'perCustomerLimit'
      OR (v_edit.changes ->> 'perCustomerLimit' IS NULL) = (v_edit.former_limit IS NULL);
    IF v_edit.former_limit IS NOT NULL THEN
      DELETE FROM customer_units WHERE product_id = v_edit.product_id;
    ELSE
      INSERT INTO customer_units (product_id, user_id, units)
      SELECT v_edit.product_id, o.user_id, sum(i.quantity)
        FROM (SELECT DISTINCT unnest(b.order_ids) AS id
                FROM stock_ledger l
                JOIN commit_batches b ON (b.owner_id, b.no) = (l.owner_id, l.batch_no)
               WHERE l.product_id = v_edit.product_id AND l.kind = 'sale') sold
        JOIN order_items i ON i.order_id = sold.id AND i.product_id = v_edit.product_id
        JOIN orders o ON o.id = sold.id
       WHERE o.status NOT IN ('EXPIRED', 'CANCELLED')
       GROUP BY o.user_id;
    END IF;
  END LOOP;
  IF v_edits <> p_edits THEN
    RAISE EXCEPTION 'edits do not add up' USING ERRCODE = 'HF002';
  END IF;
END
$$;
