-- The commit of one batch: staged rows become orders, lines, statuses, stock and ledger, or nothing
-- at all.
--
-- Called between COPY into the session's own pg_temp.batch_rows and COMMIT. One VOLATILE function
-- of separate statements under READ COMMITTED, because each statement must see with a snapshot of
-- its own: the fence check and the owner locks in one statement, or REPEATABLE READ, would miss a
-- fence that was set while the lock was being waited for.
--
-- Lock order, the same in every batch of every shard: owners ascending, orders by id, products by
-- id. An ordered CTE does not order an UPDATE, hence the SELECT ... ORDER BY ... FOR NO KEY UPDATE.
--
-- Raises HF001 "fenced" with the ids of the fenced owners in DETAIL, HF002 when what was staged is
-- not what the caller sent, or an order whose status is to change does not exist (then its id is in
-- DETAIL), 23514 when stock would fall below zero. Returns null, or what the caller cannot know:
-- {"duplicates": [ids that were bound already], "stockAfter": {id: units},
--  "unchanged": {order id: status}, "freed": [{"productId", "units", "stockVersion"}]}.
-- The same stands in the batch's own row, for a caller who lost the answer.
CREATE FUNCTION merge_batch(
  p_owner         integer,
  p_no            integer,
  p_owners        integer[], -- ascending; the owner and those of every product touched
  p_orders        integer,
  p_rows          integer,   -- all staged rows
  p_changes       integer,   -- stock changes
  p_statuses      integer,   -- status changes
  p_keyed         integer    -- changes of either kind with a key
) RETURNS jsonb LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  v_now        timestamptz := clock_timestamp();
  v_owner      integer;
  v_fenced     integer[];
  v_count      integer;
  v_duplicates uuid[] := '{}';
  v_bound      uuid[];
  v_stock      jsonb;
  v_unchanged  jsonb;
  v_freed      jsonb;
  v_report     jsonb;
BEGIN
  -- (1) The batch names itself first: whoever must know whether it ended waits on this row.
  INSERT INTO commit_batches (owner_id, no, aborted, orders, committed_at)
  VALUES (p_owner, p_no, false, p_orders, v_now);

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
  SELECT count(*) INTO v_count FROM pg_temp.batch_rows;
  IF v_count <> p_rows THEN
    RAISE EXCEPTION 'staged % rows instead of %', v_count, p_rows USING ERRCODE = 'HF002';
  END IF;

  IF p_orders + p_keyed > 0 THEN
    -- (6) Orders: a row that is there already wins, the key was bound before. A keyed command of
    -- another kind claims its id here too and gives the row back below: the one primary key that
    -- arbitrates orders arbitrates every key, also between two shards at the same moment.
    INSERT INTO orders (id, user_id, request_hash, owner_id, batch_no, home_partition, status,
                        currency, total, reference, metadata, created_at, expires_at)
    SELECT id, user_id, request_hash, p_owner, p_no, home_partition, 'WAITING_PAYMENT',
           currency, total, reference, metadata, created_at, expires_at
      FROM pg_temp.batch_rows WHERE kind IN ('o', 'k', 'u') ORDER BY id
    ON CONFLICT (id) DO NOTHING;
    GET DIAGNOSTICS v_count = ROW_COUNT;

    -- (7) A new statement, so that it sees the winner even when the insert had to wait for it.
    IF v_count <> p_orders + p_keyed THEN
      SELECT array_agg(o.id) INTO v_duplicates
        FROM pg_temp.batch_rows r JOIN orders o ON o.id = r.id
       WHERE r.kind IN ('o', 'k', 'u') AND (o.owner_id, o.batch_no) <> (p_owner, p_no);
      IF v_count + coalesce(cardinality(v_duplicates), 0) <> p_orders + p_keyed THEN
        RAISE EXCEPTION 'orders do not add up' USING ERRCODE = 'HF002';
      END IF;
    END IF;
    SELECT array_agg(k.id) INTO v_bound
      FROM pg_temp.batch_rows r JOIN keyed_effects k ON k.id = r.id
     WHERE r.kind IN ('o', 'k', 'u');
    IF v_bound IS NOT NULL THEN
      DELETE FROM orders WHERE id = ANY (v_bound) AND (owner_id, batch_no) = (p_owner, p_no);
      v_duplicates := v_duplicates || v_bound;
    END IF;
    IF v_duplicates <> '{}' THEN
      DELETE FROM pg_temp.batch_rows
       WHERE kind IN ('o', 'l', 'k', 'u') AND id = ANY (v_duplicates);
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
  IF p_orders > 0 THEN
    INSERT INTO order_items (order_id, product_id, quantity, unit_price, sequence, name)
    SELECT id, product_id, quantity, unit_price, sequence, name
      FROM pg_temp.batch_rows WHERE kind IN ('o', 'l') ORDER BY id;
  END IF;

  -- (11) Products, from what was really inserted. Locked first, in order; nobody else writes them.
  PERFORM FROM products
    WHERE id IN (SELECT product_id FROM pg_temp.batch_rows) ORDER BY id FOR NO KEY UPDATE;

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
         SET stock = last.stock_after, stock_version = last.stock_version
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
    SELECT jsonb_object_agg(id, stock_after) INTO v_stock FROM placed;
  END IF;

  -- ... all sales of a product in this batch are one, ...
  IF p_orders > 0 THEN
    WITH sold AS (
      UPDATE products p
         SET stock = p.stock - sales.units,
             stock_version = p.stock_version + 1,
             sequence = greatest(p.sequence, sales.sequence)
        FROM (SELECT product_id, sum(quantity)::bigint AS units, max(sequence) AS sequence
                FROM pg_temp.batch_rows WHERE kind IN ('o', 'l') GROUP BY product_id) sales
       WHERE p.id = sales.product_id
      RETURNING p.id, p.stock_version, sales.units, p.stock
    )
    INSERT INTO stock_ledger (product_id, stock_version, delta, stock_after, kind,
                              owner_id, batch_no, created_at)
    SELECT id, stock_version, -units, stock, 'sale', p_owner, p_no, v_now FROM sold;
  END IF;

  -- ... and so is all that it gets back: last, since no decision of this batch rests on it.
  IF p_statuses > 0 THEN
    WITH freed AS (
      UPDATE products p
         SET stock = p.stock + r.quantity, stock_version = p.stock_version + 1
        FROM pg_temp.batch_rows r
       WHERE r.kind = 'f' AND p.id = r.product_id
      RETURNING p.id, p.stock_version, r.quantity AS units, p.stock
    ), ledger AS (
      INSERT INTO stock_ledger (product_id, stock_version, delta, stock_after, kind,
                                owner_id, batch_no, created_at)
      SELECT id, stock_version, units, stock, 'freed', p_owner, p_no, v_now FROM freed
    )
    SELECT jsonb_agg(jsonb_build_object('productId', id, 'units', units,
                                        'stockVersion', stock_version)) INTO v_freed FROM freed;
  END IF;

  IF v_stock IS NULL AND v_unchanged IS NULL AND v_freed IS NULL AND v_duplicates = '{}' THEN
    RETURN NULL;
  END IF;
  v_report := jsonb_build_object('duplicates', to_jsonb(v_duplicates),
                                 'stockAfter', coalesce(v_stock, '{}'),
                                 'unchanged', coalesce(v_unchanged, '{}'),
                                 'freed', coalesce(v_freed, '[]'));
  UPDATE commit_batches SET report = v_report WHERE owner_id = p_owner AND no = p_no;
  RETURN v_report;
END
$$;

-- Step (8) of merge_batch. The staged status changes become events, the keys of those that took
-- place are bound (all of them give back the row that claimed them), and the units of all lines of
-- orders that expired or were cancelled are staged to be freed. Returns null, or {order id: status} of the orders that stayed as they were.
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
BEGIN
  SELECT count(*) INTO v_staged FROM pg_temp.batch_rows WHERE kind IN ('t', 'u');
  DELETE FROM orders USING pg_temp.batch_rows r WHERE orders.id = r.id AND r.kind = 'u';

  PERFORM FROM orders
    WHERE id IN (SELECT product_id FROM pg_temp.batch_rows WHERE kind IN ('t', 'u'))
    ORDER BY id FOR NO KEY UPDATE;

  -- A new statement, so that it sees what the one before it waited for.
  WITH changed AS (
    UPDATE orders o
       SET status = r.currency::order_status
      FROM pg_temp.batch_rows r
     WHERE r.kind IN ('t', 'u') AND o.id = r.product_id
       AND o.status = ANY (r.reference::order_status[])
       AND o.status NOT IN ('EXPIRED', 'CANCELLED')
    RETURNING o.id AS order_id, o.status, r.kind, r.id, r.user_id, r.request_hash, r.name,
              r.created_at
  ), events AS (
    INSERT INTO order_events (order_id, status, reason, author, created_at, owner_id, batch_no)
    SELECT order_id, status, name, user_id, created_at, p_owner, p_no FROM changed
  ), bound AS (
    INSERT INTO keyed_effects (id, user_id, request_hash, order_id, created_at)
    SELECT id, user_id, request_hash, order_id, created_at FROM changed WHERE kind = 'u'
  ), freed AS (
    INSERT INTO pg_temp.batch_rows (kind, id, product_id, quantity)
    SELECT 'f', i.product_id, i.product_id, sum(i.quantity)
      FROM changed c JOIN order_items i ON i.order_id = c.order_id
     WHERE c.status IN ('EXPIRED', 'CANCELLED')
     GROUP BY i.product_id
  )
  SELECT count(*) INTO v_changed FROM changed;

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

  -- They are done, and the ids that stand in their product_id are no products.
  DELETE FROM pg_temp.batch_rows WHERE kind IN ('t', 'u');
  RETURN v_unchanged;
END
$$;
