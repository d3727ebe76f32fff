import fc from 'fast-check';
import type pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { NOTHING_TO_REPORT, writeBatch, writeTimedBatch } from '../../src/db/batch-writer.ts';
import type { OrderId, OwnerId } from '../../src/domain/ids.ts';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { expectCleanAudit, makeProducts, productIds } from '../support/shop.ts';
import {
  BatchBuilder,
  claim,
  countRows,
  newOrderId,
  openSession,
  stockOf,
} from './batch-builder.ts';

const IDS = productIds(8);
const STOCK = 1000;
/** Products of their own where the figures are looked at. */
const [hostile = '', repeated = '', moved = '', chained = '', small = '', guarded = ''] = IDS;

let database: TestDatabase;
let owner: OwnerId;
let builder: BatchBuilder;
let session: pg.Client;

beforeAll(async () => {
  database = await createTestDatabase();
  await makeProducts(database, { ids: IDS, stock: STOCK });
  const { owners } = await claim(database, 'first');
  [owner = 0 as OwnerId] = owners;
  builder = new BatchBuilder(owner);
});

beforeEach(async () => {
  session = await openSession(database);
});

afterEach(async () => {
  await session.end();
});

afterAll(async () => {
  await expectCleanAudit(database);
  await database.close();
});

/** The batch is refused with this SQLSTATE, and not a row of it is left. */
async function expectNothing(batch: Parameters<typeof writeBatch>[1], code: string): Promise<void> {
  const before = await countRows(database);
  await expect(writeBatch(session, batch)).rejects.toMatchObject({ code });
  await session.query('ROLLBACK');
  expect(await countRows(database)).toEqual(before);
}

/** Everything that COPY's text format, JSON or SQL could take for something else. */
const PIECES = ['\t', '\n', '\r', '\r\n', '\\', '\\.', '\\N', '\\\\', "'", '"', '$$', '{}', ',', '\v', '\b', '\u0001', '\u007f', '\u2028', '\ufeff', 'é', '漢', '😀', '👩‍👩‍👧', '\u{10ffff}', '%s', ' ']; // prettier-ignore
/** All that the HTTP edge lets through: no NUL, no unpaired surrogates. */
const texts = fc
  .array(fc.oneof(fc.constantFrom(...PIECES), fc.string({ unit: 'binary', maxLength: 5 })), {
    maxLength: 6,
  })
  .map((pieces) => pieces.join('').replaceAll('\0', ''));
const hostileOrders = fc.record({
  name: texts,
  reference: fc.option(texts),
  metadata: fc.option(fc.dictionary(texts, texts, { maxKeys: 3 })),
});

interface Sent {
  readonly orders: readonly {
    readonly name: string;
    readonly reference: string | null;
    readonly metadata: Readonly<Record<string, string>> | null;
  }[];
  readonly reasons: readonly string[];
  readonly keyed: boolean;
}
interface StoredOrder {
  readonly id: string;
  readonly name: string;
  readonly reference: string | null;
  readonly described: boolean;
  readonly pairs: readonly (readonly [string, string])[];
}
const batches: fc.Arbitrary<Sent> = fc.record({
  orders: fc.array(hostileOrders, { minLength: 1, maxLength: 5 }),
  reasons: fc.array(texts, { maxLength: 2 }),
  keyed: fc.boolean(),
});

function hostileExample(text: string): Sent {
  const orders = [
    { name: text, reference: text, metadata: { [text]: text } },
    { name: '', reference: '', metadata: { '': '' } },
  ];
  return { orders, reasons: [text, ''], keyed: true };
}

describe('hostile text', () => {
  it('comes back from every column as it was sent, between rows that are harmless', async () => {
    const roundTrip = async (sent: Sent) => {
      const orders = sent.orders.map(({ name, reference, metadata }) =>
        builder.order({ lines: [[hostile, 1, name]], reference, metadata }),
      );
      const stockChanges = sent.reasons.map((reason) =>
        builder.change({ productId: hostile, delta: 5, reason, keyed: sent.keyed }),
      );
      const batch = builder.batch({ orders, stockChanges });
      await writeBatch(session, batch);
      // The pairs come as text: JSON.parse itself misreads escaped keys (nodejs/node#63785).
      const stored = await database.query<StoredOrder>(
        /* sql */ `SELECT o.id, i.name, o.reference, o.metadata IS NOT NULL AS described,
                          ARRAY(SELECT ARRAY[key, value] FROM jsonb_each_text(o.metadata)) AS pairs
                     FROM orders o JOIN order_items i ON i.order_id = o.id
                    WHERE (o.owner_id, o.batch_no) = ($1, $2)`,
        [owner, batch.no],
      );
      const byId = new Map(stored.map((row) => [row.id, row]));
      const found = orders.map(({ command }) => {
        const { name, reference, described, pairs } = byId.get(command.id) ?? {};
        return { name, reference, metadata: described === true ? new Map(pairs) : null };
      });
      expect(found).toEqual(
        sent.orders.map(({ name, reference, metadata }) => ({
          name,
          reference,
          metadata: metadata === null ? null : new Map(Object.entries(metadata)),
        })),
      );
      const ledger = await database.query<{ reason: string }>(
        /* sql */ `SELECT reason FROM stock_ledger
                    WHERE (owner_id, batch_no) = ($1, $2) AND kind = 'change'`,
        [owner, batch.no],
      );
      expect(ledger.map(({ reason }) => reason).toSorted()).toEqual(sent.reasons.toSorted());
    };
    await fc.assert(fc.asyncProperty(batches, roundTrip), {
      numRuns: 150,
      examples: PIECES.map((text): [Sent] => [hostileExample(text)]),
    });
  });
});

describe('an id that is bound already (I3)', () => {
  it('is reported, takes no units, and does not hinder its neighbours', async () => {
    const first = builder.order({ lines: [[repeated, 2], [moved, 1]] }); // prettier-ignore
    await writeBatch(session, builder.batch({ orders: [first] }));
    const { command } = first;
    const orders = [
      builder.order({ id: command.id, requestHash: command.requestHash, lines: [[repeated, 2], [moved, 1]] }), // prettier-ignore
      builder.order({ lines: [[repeated, 3]] }),
    ];
    const report = await writeBatch(session, builder.batch({ orders }));
    expect(report).toEqual({ ...NOTHING_TO_REPORT, duplicates: [command.id] });
    expect(await stockOf(database, repeated)).toBe(STOCK - 5);
    expect(await stockOf(database, moved)).toBe(STOCK - 1);
    const lines = await database.query('SELECT FROM order_items WHERE order_id = $1', [command.id]);
    expect(lines).toHaveLength(2);
  });

  it('leaves nothing but the name of the batch when every order of it was bound', async () => {
    const orders = [1, 2].map(() => builder.order({ lines: [[repeated, 1]] }));
    await writeBatch(session, builder.batch({ orders }));
    const before = await countRows(database);
    const report = await writeBatch(session, builder.batch({ orders }));
    expect(report.duplicates.toSorted()).toEqual(orders.map(({ command }) => command.id).toSorted()); // prettier-ignore
    expect(await countRows(database)).toEqual({ ...before, batches: (before['batches'] ?? 0) + 1 });
  });

  it('binds orders and stock changes against each other, in both directions', async () => {
    const order = builder.order({ lines: [[moved, 1]] });
    const change = builder.change({ productId: moved, delta: 7 });
    const made = await writeBatch(
      session,
      builder.batch({ orders: [order], stockChanges: [change] }),
    );
    const after = await stockOf(database, moved);
    expect(made).toEqual({ ...NOTHING_TO_REPORT, stockAfter: { [change.id]: after + 1 } });
    const crossed = builder.batch({
      orders: [
        builder.order({ id: change.id as OrderId, lines: [[moved, 1]] }),
        builder.order({ id: order.command.id, lines: [[moved, 1]] }),
      ],
    });
    const again = await writeBatch(session, crossed);
    expect(again.duplicates.toSorted()).toEqual([change.id, order.command.id].toSorted());
    const changes = builder.batch({
      stockChanges: [
        builder.change({ id: order.command.id, productId: moved, delta: 7 }),
        builder.change({ id: change.id, productId: moved, delta: 7 }),
      ],
    });
    const report = await writeBatch(session, changes);
    expect(report.duplicates.toSorted()).toEqual([change.id, order.command.id].toSorted());
    expect(report.stockAfter).toEqual({});
    expect(await stockOf(database, moved)).toBe(after);
    // The row that claims the id of a keyed change for a moment is gone.
    expect(await database.query('SELECT FROM orders WHERE id = $1', [change.id])).toEqual([]);
  });

  it('does not bind a change without a key', async () => {
    const change = builder.change({ productId: moved, delta: 1, keyed: false });
    const before = await stockOf(database, moved);
    for (let n = 1; n <= 2; n += 1) {
      const report = await writeBatch(session, builder.batch({ stockChanges: [change] }));
      expect(report).toEqual({ ...NOTHING_TO_REPORT, stockAfter: { [change.id]: before + n } });
    }
  });
});

describe('the ledger', () => {
  it('chains the stock changes and then the sales of a batch, as do the answers (I10)', async () => {
    const stockChanges = [5, -20, 300, -1].map((delta, n) =>
      builder.change({ productId: chained, delta, keyed: n % 2 === 0 }),
    );
    const orders = [1, 2, 3].map((units) => builder.order({ lines: [[chained, units]] }));
    const report = await writeBatch(session, builder.batch({ orders, stockChanges }));
    const rows = await database.query<{ delta: number; after: number; kind: string }>(
      /* sql */ `SELECT delta::integer, stock_after::integer AS after, kind
                   FROM stock_ledger WHERE product_id = $1 ORDER BY stock_version`,
      [chained],
    );
    let stock = 0;
    for (const { delta, after } of rows) {
      stock += delta;
      expect(after).toBe(stock);
    }
    expect(rows.map(({ kind }) => kind)).toEqual(['opening', 'change', 'change', 'change', 'change', 'sale']); // prettier-ignore
    expect(rows.at(-1)).toMatchObject({ delta: -6, after: STOCK + 284 - 6 });
    expect(await stockOf(database, chained)).toBe(STOCK + 284 - 6);
    const [supplied] = await database.query(
      'SELECT supplied::integer AS units FROM products WHERE id = $1',
      [chained],
    );
    expect(supplied).toEqual({ units: STOCK + 284 });
    const inOrder = stockChanges.toSorted((a, b) => (a.id < b.id ? -1 : 1));
    const afterEach = rows.slice(1, 5).map(({ after }) => after);
    expect(inOrder.map(({ id }) => report.stockAfter[id])).toEqual(afterEach);
  });
});

describe('all of a batch or nothing', () => {
  const innocent = () => builder.order({ lines: [[guarded, 1]] });

  it('when stock would fall below zero, as the last line of defence (I1)', async () => {
    const orders = [innocent(), builder.order({ lines: [[small, STOCK + 1]] })];
    const stockChanges = [builder.change({ productId: guarded, delta: 5 })];
    await expectNothing(builder.batch({ orders, stockChanges }), '23514');
    await writeBatch(session, builder.batch({ orders: [builder.order({ lines: [[small, STOCK]] })] })); // prettier-ignore
    expect(await stockOf(database, small)).toBe(0);
  });

  it('when fewer rows were staged than sent (HF002)', async () => {
    await session.query(/* sql */ `
      CREATE FUNCTION pg_temp.lose_a_row() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN IF NEW.quantity = 77 THEN RETURN NULL; END IF; RETURN NEW; END $$;
      CREATE TRIGGER lose BEFORE INSERT ON pg_temp.batch_rows
        FOR EACH ROW EXECUTE FUNCTION pg_temp.lose_a_row()`);
    const orders = [innocent(), builder.order({ lines: [[guarded, 77]] })];
    await expectNothing(builder.batch({ orders }), 'HF002');
    await writeBatch(session, builder.batch({ orders: [innocent()] }));
  });

  it('when one id is in the batch twice (HF002)', async () => {
    const id = newOrderId();
    const orders = [1, 2].map(() => builder.order({ id, lines: [[guarded, 1]] }));
    await expectNothing(builder.batch({ orders }), 'HF002');
  });

  it('when its name was used before', async () => {
    const batch = builder.batch({ orders: [innocent()] });
    await writeBatch(session, batch);
    await expectNothing({ ...batch, orders: [innocent()] }, '23505');
  });

  it('when a row is not what PostgreSQL can store', async () => {
    const orders = [innocent(), builder.order({ lines: [[guarded, 1]], reference: 'a\0b' })];
    await expectNothing(builder.batch({ orders }), '22021');
    const hash = innocent();
    const broken = { ...hash, command: { ...hash.command, requestHash: 'no hex' } };
    await expectNothing(builder.batch({ orders: [innocent(), broken] }), '22023');
  });

  it('when the batch is not named by integers, before anything is sent', async () => {
    const before = await countRows(database);
    const batch = builder.batch({ orders: [innocent()] });
    await expect(writeBatch(session, { ...batch, no: 1.5 })).rejects.toThrow('integers');
    expect(await countRows(database)).toEqual(before);
  });
});

describe('success is the tag COMMIT and nothing else (I2)', () => {
  /** Sends what the writer sends, but ends the transaction with ROLLBACK: no error, another tag. */
  function endWithRollback(client: pg.Client): void {
    const { connection } = client as unknown as { connection: { query(text: string): void } };
    const query = connection.query.bind(connection);
    connection.query = (text) => query(text.replace(/;COMMIT$/, ';ROLLBACK'));
  }

  it('so a transaction that ends with ROLLBACK without an error is a rejection', async () => {
    const before = await countRows(database);
    endWithRollback(session);
    const batch = builder.batch({ orders: [builder.order({ lines: [[guarded, 1]] })] });
    await expect(writeBatch(session, batch)).rejects.toThrow('ended with ROLLBACK, not COMMIT');
    expect(await countRows(database)).toEqual(before);
  });

  it('so a session left in a failed transaction rejects, whatever it is given', async () => {
    await session.query('BEGIN');
    await expect(session.query('SELECT 1 / 0')).rejects.toMatchObject({ code: '22012' });
    const batch = builder.batch({ orders: [builder.order({ lines: [[guarded, 1]] })] });
    await expectNothing(batch, '25P02');
  });

  it('so a check that fails at COMMIT itself is a rejection', async () => {
    await database.query(/* sql */ `
      CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN RAISE EXCEPTION 'refused at COMMIT' USING ERRCODE = 'P0001'; END $$;
      CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON commit_batches
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()`);
    const batch = builder.batch({ orders: [builder.order({ lines: [[guarded, 1]] })] });
    await expectNothing(batch, 'P0001');
    await database.query('DROP TRIGGER refuse ON commit_batches');
    await writeBatch(session, batch);
  });

  it('so a session that was closed rejects', async () => {
    const closed = await openSession(database);
    await closed.end();
    const batch = builder.batch({ orders: [builder.order({ lines: [[guarded, 1]] })] });
    await expect(writeBatch(closed, batch)).rejects.toThrow('closed');
  });
});

describe('the times of a batch', () => {
  const SLEEP_MS = 40;

  it('tell its COPY from its merge, and what is left of its time is the COMMIT', async () => {
    await database.query(/* sql */ `
      CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_sleep(${SLEEP_MS / 1000}); RETURN NEW; END $$;
      CREATE TRIGGER in_merge BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION dawdle();
      CREATE CONSTRAINT TRIGGER in_commit AFTER INSERT ON commit_batches
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION dawdle()`);
    const sentAt = performance.now();
    const { times } = await writeTimedBatch(
      session,
      builder.batch({ orders: [builder.order({ lines: [[guarded, 1]] })] }),
    );
    const totalMs = performance.now() - sentAt;
    await database.query(
      'DROP TRIGGER in_merge ON orders; DROP TRIGGER in_commit ON commit_batches',
    );
    expect(times.copyMs).toBeGreaterThan(0);
    expect(times.mergeMs).toBeGreaterThanOrEqual(SLEEP_MS);
    expect(totalMs - times.copyMs - times.mergeMs).toBeGreaterThanOrEqual(SLEEP_MS);
  });
});

describe('a fenced owner (I5)', () => {
  it('writes nothing, whether it commits or owns a product of the batch, and is named', async () => {
    const { owners } = await claim(database, 'second', 2);
    const [mine = 0 as OwnerId, other = 0 as OwnerId] = owners;
    const order = () => builder.order({ lines: [[guarded, 1]] });
    await expectNothing(builder.batch({ orders: [order()] }), 'HF001');
    const live = new BatchBuilder(mine, new Map([[guarded, 1000]]));
    const touching = live.batch({ orders: [live.order({ lines: [[guarded, 1]] })], owners: [owner, mine, other] }); // prettier-ignore
    await expectNothing(touching, 'HF001');
    const detail = `{${owner}}`;
    await expect(writeBatch(session, touching)).rejects.toMatchObject({ detail });
    await session.query('ROLLBACK');
    const both = { ...touching, owners: [mine, other] };
    expect(await writeBatch(session, both)).toEqual(NOTHING_TO_REPORT);
  });
});
