/**
 * `npm run screenshots [-- --seconds S]`: the pictures of docs/images. A server of its own with the
 * demo shop sells under load for a while, and a browser looks at it.
 */
import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Browser, Page } from 'playwright-core';
import { DEMO_ACCOUNTS, HOT_PRODUCT_ID } from '../src/db/seed.ts';
import { launchBrowser, logIn, openAdminPage } from '../test/support/browser.ts';
import { OrderLoad } from '../test/support/order-load.ts';
import { send } from '../test/support/send.ts';
import { ServerProcess, tokenOf } from '../test/support/server.ts';

const IMAGES = fileURLToPath(new URL('../docs/images/', import.meta.url));
const BYTES_MAX = 200_000;
const ORDERS_PER_SECOND = 900;
const PRODUCTS = 14;
/** Places of products of which a customer may have a few, so that some are refused. */
const LIMITED = [1, 3, 5];
const UNITS_PER_CUSTOMER = 14;
/** With batches as large as they may be nothing ever waits at this rate: there would be no queues. */
const SMALL = { BATCH_MAX_ORDERS: '3', COMMITS_IN_FLIGHT_MAX: '1', MAILBOX_MAX: '200' };
const DESKTOP = { width: 1280, height: 800 };
const PHONE = { width: 360, height: 760 };
const VIEWS = ['actors', 'actor', 'shards', 'batches'] as const;

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '150' } } });

function productIdOf(place: number): string {
  return HOT_PRODUCT_ID.slice(0, -2) + place.toString(16).padStart(2, '0');
}

/** Enough for the whole show, but for one product: that one is seen to sell out. */
async function stockUp(serverUrl: string): Promise<void> {
  const admin = { id: DEMO_ACCOUNTS.admin.id, role: 'admin' } as const;
  for (const productId of LIMITED.map(productIdOf)) {
    const response = await fetch(`${serverUrl}/products/${productId}`, {
      method: 'PATCH',
      headers: {
        authorization: `Bearer ${tokenOf(admin.id, admin.role)}`,
        'content-type': 'application/json',
      },
      body: JSON.stringify({ per_customer_limit: UNITS_PER_CUSTOMER }),
    });
    const { status } = response;
    if (status !== 200) throw new Error(`the limit of ${productId} was answered with ${status}`);
  }
  for (let place = 1; place <= PRODUCTS; place += 1) {
    const perSecond = ORDERS_PER_SECOND / place / 3;
    const delta = Math.round(perSecond * Number(values.seconds) * (1.2 + (place % 4) * 0.3));
    if (place === 4) continue;
    const body = { delta, reason: 'delivery' };
    await send(`${serverUrl}/products/${productIdOf(place)}/stock`, admin, { body });
  }
}

async function show(page: Page, view: (typeof VIEWS)[number]): Promise<void> {
  const hash = view === 'actor' ? `actors/${HOT_PRODUCT_ID}` : view;
  await page.evaluate(`location.hash = '/${hash}'`);
  // Two events later every line and bar stands where it belongs.
  await page.waitForTimeout(3_000);
}

async function take(page: Page, name: string): Promise<void> {
  const path = join(IMAGES, `admin-${name}.png`);
  await page.screenshot({ path });
  const { size } = statSync(path);
  if (size > BYTES_MAX) throw new Error(`${path} has ${size} bytes`);
  console.log(`${name}: ${Math.round(size / 1000)} kB`);
}

async function takeAll(browser: Browser, serverUrl: string): Promise<void> {
  const open = async (options: Parameters<typeof openAdminPage>[2]) => {
    const { page } = await openAdminPage(browser, serverUrl, options);
    await logIn(page);
    return page;
  };
  const dark = await open({ colorScheme: 'dark', viewport: DESKTOP });
  const light = await open({ colorScheme: 'light', viewport: DESKTOP });
  const phone = await open({ colorScheme: 'dark', viewport: PHONE });
  await dark.waitForTimeout(Number(values.seconds) * 1_000);
  for (const view of VIEWS) {
    await show(dark, view);
    await take(dark, `${view}-dark`);
    await show(light, view);
    await take(light, `${view}-light`);
  }
  await show(phone, 'actors');
  await take(phone, 'phone');
}

mkdirSync(IMAGES, { recursive: true });
const dataDir = mkdtempSync(join(tmpdir(), 'hedonify-screenshots-'));
const browser = await launchBrowser();
const server = await ServerProcess.start({
  databaseUrl: null,
  env: { DATA_DIR: dataDir, SEED_DEMO: 'true', SHARDS: '4', ...SMALL },
});
await stockUp(server.url);
const load = new OrderLoad({
  serverUrl: () => server.url,
  productIds: Array.from({ length: PRODUCTS }, (_, n) => productIdOf(n + 1)),
  perSecond: ORDERS_PER_SECOND,
  customers: 2_000,
  paidShare: 0.15,
});
try {
  await takeAll(browser, server.url);
} finally {
  await load.stop();
  await browser.close();
  await server.stop();
  rmSync(dataDir, { recursive: true, force: true });
}
