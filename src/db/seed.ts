/** The demo shop: three accounts and thirty products with fixed ids, for an empty database only. */
import type { ClientBase } from 'pg';
import type { Role } from '../domain/user.ts';

/** Of every demo account. */
export const DEMO_PASSWORD = 'demo-password-1';

interface DemoAccount {
  readonly id: string;
  readonly username: string;
  readonly email: string;
  readonly role: Role;
}

function demoId(number: number): string {
  return `00000000-0000-7000-8000-${number.toString(16).padStart(12, '0')}`;
}

function demoAccount(role: Role, number: number): DemoAccount {
  return { id: demoId(number), username: `demo-${role}`, email: `${role}@demo.test`, role };
}

export const DEMO_ACCOUNTS = {
  customer: demoAccount('customer', 0xa1),
  merchant: demoAccount('merchant', 0xa2),
  admin: demoAccount('admin', 0xa3),
} as const;

/** The product of every example and of the hot-product benchmark. */
export const HOT_PRODUCT_ID = demoId(1);

const DEMO_STOCK = 1_000;
const DEMO_CURRENCY = 'USD';

/** Name, price in cents, description. The place in the list is the product's id: append only. */
const DEMO_PRODUCTS: readonly (readonly [string, number, string])[] = [
  ['Aurora Sneaker, first drop', 12_900, 'Hand-numbered runner in northern-lights mesh.'],
  ['Noise-cancelling headphones', 24_900, 'Thirty hours of quiet on one charge.'],
  ['Mechanical keyboard, 75 %', 13_900, 'Hot-swappable switches in an aluminium case.'],
  ['Espresso machine', 49_900, 'Heats in three seconds and fits below a shelf.'],
  ['Burr grinder', 17_900, 'Forty steps from French press to espresso.'],
  ['Linen bed set', 15_900, 'Stone-washed, gets softer with every wash.'],
  ['Cast-iron skillet, 26 cm', 4_900, 'Seasoned three times and ready for the fire.'],
  ["Chef's knife, 20 cm", 8_900, 'Layered steel with a walnut handle.'],
  ['Trail backpack, 28 l', 11_900, 'Rain cover, hip belt and room for a bladder.'],
  ['Down jacket', 22_900, 'Packs into its own pocket, 380 g.'],
  ['Merino base layer', 6_900, 'Warm when wet and fresh after a week.'],
  ['Titanium mug', 2_900, 'Weighs 78 g and goes over an open flame.'],
  ['Head torch', 3_900, '400 lumens, rechargeable over USB-C.'],
  ['Two-person tent', 32_900, 'Stands in four minutes, weighs 1.6 kg.'],
  ['E-reader, 7 inch', 18_900, 'Paper-like display with a warm light.'],
  ['Mirrorless camera body', 119_900, '26 megapixels and a shutter you can hear.'],
  ['Prime lens, 35 mm', 44_900, 'Bright, small and weather-sealed.'],
  ['Turntable', 29_900, 'Belt-driven, with a built-in preamplifier.'],
  ['Bookshelf speakers, pair', 39_900, 'Five-inch woofers in real oak.'],
  ['Smart desk lamp', 7_900, 'Follows the sun from cold to warm.'],
  ['Standing desk', 54_900, 'Two motors, four memory heights.'],
  ['Ergonomic chair', 64_900, 'Twelve adjustments and a mesh back.'],
  ['Fountain pen', 5_900, 'Steel nib, converter included.'],
  ['Dotted notebook, 3-pack', 1_900, '120 g paper that ink does not bleed through.'],
  ['Board game: Harbour Lights', 4_500, 'Two to five players, ninety minutes.'],
  ['Building set: Lighthouse', 9_900, '1,482 pieces and a lamp that turns.'],
  ['Ceramic planter set', 3_400, 'Three sizes, glazed by hand.'],
  ['Olive oil, new harvest, 1 l', 2_400, 'Cold-pressed within six hours of picking.'],
  ['Single-origin coffee, 1 kg', 2_800, 'Washed, from 1,900 metres, roasted this week.'],
  ['Gift card', 5_000, 'Fifty dollars, valid for three years.'],
];

const INSERT_USERS = /* sql */ `
  INSERT INTO users (id, username, email, password_hash, role, created_at)
  SELECT u.id, u.username, u.email, u.password_hash, u.role, now()
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::user_role[])
         AS u (id, username, email, password_hash, role)`;

// A millisecond apart, so that "newest first" shows the list from its top.
const INSERT_PRODUCTS = /* sql */ `
  INSERT INTO products (id, merchant_id, name, description, price_amount, currency, status,
                        stock, supplied, stock_version, sequence, version, created_at, updated_at)
  SELECT p.id, $1, p.name, p.description, p.price, $2, 'active', $3, $3, 1, 0, 1,
         now() - p.place * interval '1 ms', now() - p.place * interval '1 ms'
    FROM unnest($4::uuid[], $5::text[], $6::text[], $7::bigint[])
         WITH ORDINALITY AS p (id, name, description, price, place)`;

const INSERT_OPENINGS = /* sql */ `
  INSERT INTO stock_ledger (product_id, stock_version, delta, stock_after, kind, created_at)
  SELECT id, stock_version, stock, stock, 'opening', created_at FROM products`;

interface SeedOptions {
  /** Called three times; each account has a salt of its own. */
  readonly hashPassword: (password: string) => Promise<string>;
}

async function insertShop(client: ClientBase, passwordHashes: readonly string[]): Promise<void> {
  const accounts = Object.values(DEMO_ACCOUNTS);
  await client.query(INSERT_USERS, [
    accounts.map(({ id }) => id),
    accounts.map(({ username }) => username),
    accounts.map(({ email }) => email),
    passwordHashes,
    accounts.map(({ role }) => role),
  ]);
  await client.query(INSERT_PRODUCTS, [
    DEMO_ACCOUNTS.merchant.id,
    DEMO_CURRENCY,
    DEMO_STOCK,
    DEMO_PRODUCTS.map((_, index) => demoId(index + 1)),
    DEMO_PRODUCTS.map(([name]) => name),
    DEMO_PRODUCTS.map(([, , description]) => description),
    DEMO_PRODUCTS.map(([, price]) => price),
  ]);
  await client.query(INSERT_OPENINGS);
}

/**
 * Fills an empty database with the demo shop, in one READ COMMITTED transaction under a lock on
 * both tables. Answers false, and changes nothing, where any user or product exists.
 */
export async function seedDemoShop(
  client: ClientBase,
  { hashPassword }: SeedOptions,
): Promise<boolean> {
  await client.query('BEGIN ISOLATION LEVEL READ COMMITTED');
  try {
    // Against another process that seeds or registers at the same moment; readers go on.
    await client.query('LOCK TABLE users, products IN SHARE ROW EXCLUSIVE MODE');
    const { rows } = await client.query<{ empty: boolean }>(
      'SELECT NOT EXISTS (SELECT FROM users) AND NOT EXISTS (SELECT FROM products) AS empty',
    );
    const empty = rows[0]?.empty === true;
    if (empty) {
      // Hashed only when needed: a good hash takes a while on purpose.
      const accounts = Object.values(DEMO_ACCOUNTS);
      const hashes = await Promise.all(accounts.map(() => hashPassword(DEMO_PASSWORD)));
      await insertShop(client, hashes);
    }
    await client.query('COMMIT');
    return empty;
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
}

/** Whether the demo shop lives here: its accounts are worth telling only then. */
export async function hasDemoShop(client: ClientBase): Promise<boolean> {
  const { rows } = await client.query<{ found: boolean }>(
    'SELECT EXISTS (SELECT FROM users WHERE id = $1) AS found',
    [DEMO_ACCOUNTS.customer.id],
  );
  return rows[0]?.found === true;
}
