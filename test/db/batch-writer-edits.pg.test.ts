/** Merchant edits in a batch: what they set, their versions, their ledger. */
import type pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { batchFailure } from '../../src/db/batch-failure.ts';
import { NOTHING_TO_REPORT, writeBatch } from '../../src/db/batch-writer.ts';
import { readProducts } from '../../src/db/shard-reader.ts';
import type { Batch } from '../../src/domain/batch.ts';
import {
  CUSTOMER_LIMIT_MAX,
  DESCRIPTION_CHARS_MAX,
  PRICE_AMOUNT_MAX,
  PRODUCT_NAME_CHARS_MAX,
  REASON_CHARS_MAX,
} from '../../src/domain/bounds.ts';
import type { OwnerId } from '../../src/domain/ids.ts';
import type { ProductChanges } from '../../src/domain/product.ts';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { expectCleanAudit, makeProducts, MERCHANT_ID, productIds } from '../support/shop.ts';
import {
  BatchBuilder,
  claim,
  countRows,
  openSession,
  productOf,
  stockOf,
} from './batch-builder.ts';

const STOCK = 1000;
const IDS = productIds(5);
const [edited = '', versioned = '', sold = '', guarded = '', hostile = ''] = IDS;
const UNKNOWN = '99999999-0000-7000-8000-000000000099';
const [STARTS_AT, ENDS_AT] = [Date.UTC(2026, 10, 27, 8, 0, 0, 1), Date.UTC(2026, 10, 30, 0, 0, 0, 999)]; // prettier-ignore

let database: TestDatabase;
let owner: OwnerId;
let builder: BatchBuilder;
let session: pg.Client;

beforeAll(async () => {
  database = await createTestDatabase();
  await makeProducts(database, { ids: IDS, stock: STOCK });
  const { owners } = await claim(database, 'node');
  owner = owners[0] ?? (0 as OwnerId);
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

/** All that an edit can set. */
async function fieldsOf(id: string): Promise<Required<ProductChanges>> {
  const [product] = await readProducts(session, [productOf(id)]);
  const [row] = await database.query<{ description: string }>(
    'SELECT description FROM products WHERE id = $1',
    [id],
  );
  if (product === undefined || row === undefined) throw new Error(`there is no product ${id}`);
  const { name, price, status, perCustomerLimit, saleStartsAt, saleEndsAt } = product;
  const { description } = row;
  return { name, description, price, status, perCustomerLimit, saleStartsAt, saleEndsAt };
}

async function versionOf(id: string): Promise<unknown> {
  const [row] = await database.query(
    /* sql */ `SELECT version::integer, stock::integer, stock_version::integer,
                      sequence::integer, updated_at FROM products WHERE id = $1`,
    [id],
  );
  return row;
}

function edit(productId: string, changes: ProductChanges): Batch {
  return builder.batch({ edits: [builder.edit({ productId, changes })] });
}

/** The batch is refused with this error, and not a row of it is left. */
async function refusal(batch: Batch): Promise<{ readonly code: string; readonly error: unknown }> {
  const before = [await countRows(database), await editsOf(guarded)];
  const error: unknown = await writeBatch(session, batch).catch((reason: unknown) => reason);
  await session.query('ROLLBACK');
  expect([await countRows(database), await editsOf(guarded)]).toEqual(before);
  return { code: error instanceof Error && 'code' in error ? String(error.code) : '', error };
}

async function editsOf(id: string): Promise<readonly Record<string, unknown>[]> {
  return database.query(
    /* sql */ `SELECT version::integer, changes, reason, author, created_at, owner_id, batch_no
                 FROM product_edits WHERE product_id = $1 ORDER BY version`,
    [id],
  );
}

describe('an edit', () => {
  const EDITS: readonly ProductChanges[] = [
    { name: 'A name' },
    { description: 'What it is' },
    { description: '' },
    { price: { amount: 0, currency: 'EUR' } },
    { price: { amount: PRICE_AMOUNT_MAX, currency: 'JPY' } },
    { status: 'paused' },
    { status: 'draft' },
    { status: 'archived' },
    { status: 'active' },
    { perCustomerLimit: 3 },
    { perCustomerLimit: CUSTOMER_LIMIT_MAX },
    { perCustomerLimit: null },
    { saleStartsAt: STARTS_AT },
    { saleEndsAt: ENDS_AT },
    { saleStartsAt: null },
    { saleEndsAt: null },
    { name: 'All', description: 'of it', price: { amount: 1, currency: 'USD' }, status: 'active', perCustomerLimit: 1, saleStartsAt: STARTS_AT, saleEndsAt: ENDS_AT }, // prettier-ignore
    { perCustomerLimit: null, saleStartsAt: null, saleEndsAt: null },
    {},
  ];

  it('sets what it names, to the millisecond, and leaves the rest; null clears', async () => {
    let expected = await fieldsOf(edited);
    for (const changes of EDITS) {
      expect(await writeBatch(session, edit(edited, changes))).toEqual(NOTHING_TO_REPORT);
      expected = { ...expected, ...changes };
      expect(await fieldsOf(edited)).toEqual(expected);
    }
    expect(await versionOf(edited)).toMatchObject({ version: 1 + EDITS.length });
    const stored = await editsOf(edited);
    expect(stored.map(({ changes }) => changes)).toEqual(EDITS);
  });

  it('is a version of its own in the ledger of edits, and moves neither stock nor sequence (I6)', async () => {
    const at = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
    const orders = [builder.order({ lines: [[versioned, 3]] })];
    await writeBatch(session, builder.batch({ orders }));
    const before = await versionOf(versioned);
    const changes = { name: 'Edited', perCustomerLimit: null };
    const batch = builder.batch({
      edits: [builder.edit({ productId: versioned, changes, reason: 'a\treason\\n', at })],
    });
    await writeBatch(session, batch);
    expect(await versionOf(versioned)).toEqual({ ...Object(before), version: 2, updated_at: new Date(at) }); // prettier-ignore
    const author = MERCHANT_ID;
    const common = { owner_id: owner, batch_no: batch.no, created_at: new Date(at) };
    expect(await editsOf(versioned)).toEqual([
      { ...common, version: 2, changes, reason: 'a\treason\\n', author },
    ]);
    await writeBatch(session, builder.batch({ stockChanges: [builder.change({ productId: versioned, delta: 1 })] })); // prettier-ignore
    expect(await versionOf(versioned)).toMatchObject({ version: 2 });
  });

  it('shares its batch with orders and stock changes of other products', async () => {
    const change = builder.change({ productId: sold, delta: 5 });
    const batch = builder.batch({
      orders: [builder.order({ lines: [[sold, 2]] })],
      stockChanges: [change],
      edits: [
        builder.edit({ productId: versioned, changes: { status: 'paused' } }),
        builder.edit({ productId: edited, changes: { status: 'paused' } }),
      ],
    });
    const stock = await stockOf(database, sold);
    const report = await writeBatch(session, batch);
    expect(report).toEqual({ ...NOTHING_TO_REPORT, stockAfter: { [change.id]: stock + 5 } });
    expect(await stockOf(database, sold)).toBe(stock + 3);
    for (const id of [versioned, edited]) {
      expect(await fieldsOf(id)).toMatchObject({ status: 'paused' });
    }
  });

  it('comes back as it was sent, whatever the text, in the largest row there is', async () => {
    const text = `\t\n\r\\ \\N \\. "quoted" 'it''s' {a,b} $$ \u2028 漢 `;
    const wide = (chars: number) => `${text}${'😀'.repeat(chars - text.length)}`;
    const changes = {
      name: wide(PRODUCT_NAME_CHARS_MAX),
      description: wide(DESCRIPTION_CHARS_MAX),
    };
    const reason = wide(REASON_CHARS_MAX);
    await writeBatch(
      session,
      builder.batch({ edits: [builder.edit({ productId: hostile, changes, reason })] }),
    );
    expect(await fieldsOf(hostile)).toMatchObject(changes);
    expect(await editsOf(hostile)).toMatchObject([{ changes, reason }]);
  });
});

describe('an edit that cannot be made leaves nothing of its batch', () => {
  it('of a product that does not exist (HF002)', async () => {
    const batch = builder.batch({
      orders: [builder.order({ lines: [[guarded, 1]] })],
      edits: [
        builder.edit({ productId: UNKNOWN, changes: { name: 'x' } }),
        builder.edit({ productId: sold, changes: { name: 'x' } }),
      ],
    });
    expect(await refusal(batch)).toMatchObject({ code: 'HF002' });
  });

  it('twice for one product', async () => {
    const edits = ['a', 'b'].map((name) => builder.edit({ productId: guarded, changes: { name } }));
    expect(await refusal(builder.batch({ edits }))).toMatchObject({ code: '23505' });
  });

  const IMPOSSIBLE: readonly ProductChanges[] = [
    { name: '' },
    { name: 'x'.repeat(PRODUCT_NAME_CHARS_MAX + 1) },
    { price: { amount: -1, currency: 'USD' } },
    { price: { amount: 1, currency: 'usd' } },
    { perCustomerLimit: 0 },
  ];
  it.each(IMPOSSIBLE)('to %j, and the product is to blame', async (changes) => {
    const batch = builder.batch({
      orders: [builder.order({ lines: [[sold, 1]] })],
      edits: [builder.edit({ productId: guarded, changes })],
    });
    const { code, error } = await refusal(batch);
    expect(code).toBe('23514');
    expect(batchFailure(error, batch)).toEqual({ type: 'rejected', id: guarded });
  });

  it('to a text that cannot be stored, and the product is to blame', async () => {
    const order = builder.order({ lines: [[sold, 1], [edited, 1]] }); // prettier-ignore
    const batch = builder.batch({
      orders: [order],
      stockChanges: [builder.change({ productId: sold, delta: 1 })],
      edits: [
        builder.edit({ productId: versioned, changes: { name: 'fine' } }),
        builder.edit({ productId: guarded, changes: { description: 'a\0b' } }),
      ],
    });
    const { error } = await refusal(batch);
    expect(batchFailure(error, batch)).toEqual({ type: 'rejected', id: guarded });
  });

  it('by an owner that is fenced (I5)', async () => {
    await claim(database, 'next');
    expect(await refusal(edit(guarded, { status: 'paused' }))).toMatchObject({ code: 'HF001' });
    expect(await fieldsOf(guarded)).toMatchObject({ status: 'active' });
  });
});
