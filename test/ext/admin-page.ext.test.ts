import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { DEMO_ACCOUNTS, DEMO_PASSWORD, HOT_PRODUCT_ID } from '../../src/db/seed.ts';
import { launchBrowser, logIn, openAdminPage } from '../support/browser.ts';
import type { AdminTab } from '../support/browser.ts';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { freePort } from '../support/free-port.ts';
import { OrderLoad } from '../support/order-load.ts';
import { send } from '../support/send.ts';
import { ServerProcess, tokenOf } from '../support/server.ts';
import { Customer } from '../support/shop.ts';
import { until } from '../support/until.ts';

const ORDERS_PER_SECOND = 300;
const HOT_NAME = 'Aurora Sneaker, first drop';
/** So that nothing sells out meanwhile. */
const STOCK = 900_000;
const PHONE = { width: 360, height: 780 };
/** What is to be seen within this time, while two cores do all of it. */
const SEEN_MS = 15_000;
const CASE_MS = 60_000;

let database: TestDatabase;
let browser: Browser;
let server: ServerProcess;
let load: OrderLoad;
let port: number;
const tabs: AdminTab[] = [];

function startServer(): Promise<ServerProcess> {
  const env = {
    PORT: String(port),
    SEED_DEMO: 'true',
    SHARDS: '2',
    LOGIN_ATTEMPTS_PER_MINUTE: '0',
  };
  return ServerProcess.start({ databaseUrl: database.url, env });
}

beforeAll(async () => {
  database = await createTestDatabase();
  port = await freePort();
  [browser, server] = await Promise.all([launchBrowser(), startServer()]);
  const products = await database.query<{ id: string }>(
    /* sql */ `SELECT id FROM products ORDER BY id LIMIT 12`,
  );
  const productIds = products.map(({ id }) => id);
  for (const id of productIds) {
    const change = { delta: STOCK, reason: 'delivery' };
    await send(`${server.url}/products/${id}/stock`, ADMIN, { body: change });
  }
  load = new OrderLoad({
    serverUrl: () => server.url,
    productIds,
    perSecond: ORDERS_PER_SECOND,
    customers: 50,
    paidShare: 0.1,
  });
});

afterAll(async () => {
  await load.stop();
  await browser.close();
  await server.stop();
  await database.close();
});

afterEach(async () => {
  const complaints = tabs.flatMap((tab) => tab.complaints);
  await Promise.all(tabs.splice(0).map(({ page }) => page.context().close()));
  expect(complaints).toEqual([]);
});

const ADMIN = { id: DEMO_ACCOUNTS.admin.id, role: 'admin' } as const;

async function open(options: Parameters<typeof openAdminPage>[2] = {}): Promise<Page> {
  const tab = await openAdminPage(browser, server.url, options);
  tabs.push(tab);
  tab.page.setDefaultTimeout(SEEN_MS);
  return tab.page;
}

/** As if one had logged in before: checking a password is slow by design. */
async function openLoggedIn(options: Parameters<typeof openAdminPage>[2] = {}): Promise<Page> {
  const page = await open(options);
  await takeSession(page, tokenOf(ADMIN.id, 'admin'));
  await page.getByText('Live', { exact: true }).waitFor();
  return page;
}

async function takeSession(page: Page, token: string): Promise<void> {
  const user = { email: DEMO_ACCOUNTS.admin.email, username: 'admin', role: 'admin' };
  const session = JSON.stringify({ token, expires_at: '2040-01-01T00:00:00Z', user });
  await page.evaluate(
    `sessionStorage.setItem('hedonify-admin-session', ${JSON.stringify(session)})`,
  );
  await page.reload();
}

/** Looks rarely: the machine has better things to do. */
function poll<T>(read: () => Promise<T>, message = '') {
  return expect.poll(read, { timeout: SEEN_MS, interval: 100, message });
}

const seen = (what: string, holds: () => Promise<boolean>) => poll(holds, what).toBe(true);

/** The text of an element changes. */
async function expectMoves(page: Page, selector: string): Promise<void> {
  const first = await page.locator(selector).first().innerText();
  await seen(`${selector} moves on from ${first}`, async () => {
    return (await page.locator(selector).first().innerText()) !== first;
  });
}

const banner = (page: Page) => page.locator('.banner');
const clock = (page: Page) => page.locator('.light-time').innerText();
/** The id of what has the focus, or its text. */
const focused = (page: Page) =>
  page.evaluate(
    `document.activeElement === document.body ? 'BODY'
      : document.activeElement.id || document.activeElement.textContent`,
  );

describe('the way in', () => {
  test('says when the password is wrong, and when somebody is not an admin', async () => {
    const page = await open();
    const alert = page.getByRole('alert');
    await page.getByLabel('Email').fill(DEMO_ACCOUNTS.admin.email);
    await page.getByLabel('Password').fill('wrong-password-1');
    await page.getByRole('button', { name: 'Log in' }).click();
    await poll(() => alert.innerText()).not.toBe('');
    await page.getByLabel('Email').fill(DEMO_ACCOUNTS.customer.email);
    await page.getByLabel('Password').fill(DEMO_PASSWORD);
    await page.getByRole('button', { name: 'Log in' }).click();
    await poll(() => alert.innerText()).toBe('customer@demo.test is not an admin.');
    expect(await page.evaluate('sessionStorage.length')).toBe(0);
  });

  test('lasts for a reload, puts no token into an address, and ends when one logs out', async () => {
    const page = await open();
    const addresses: string[] = [];
    page.on('request', (request) => addresses.push(request.url()));
    await logIn(page);
    await poll(() => focused(page)).toBe('view-title');
    await page.reload();
    await page.getByText('Live', { exact: true }).waitFor();
    const token = await page.evaluate(
      `JSON.parse(sessionStorage.getItem('hedonify-admin-session')).token`,
    );
    expect(String(token).length).toBeGreaterThan(50);
    expect(addresses.some((address) => address.includes('/admin/events'))).toBe(true);
    expect(addresses.filter((address) => address.includes(String(token)))).toEqual([]);
    await page.getByRole('button', { name: 'Log out' }).click();
    await page.getByRole('heading', { name: 'Log in' }).waitFor();
    expect(await page.evaluate('sessionStorage.length')).toBe(0);
    expect(await page.locator('.actors').count()).toBe(0);
  });

  test('is asked for again when the token has ended', async () => {
    const page = await open();
    await takeSession(page, tokenOf(ADMIN.id, 'admin', 3_000));
    await page.getByText('Live', { exact: true }).waitFor();
    await page.getByText('Your session has ended. Log in again.').waitFor();
    expect(await page.evaluate('sessionStorage.length')).toBe(0);
  });
});

describe('under load', () => {
  test(
    'the hottest actors move, sorted as one likes',
    async () => {
      const page = await openLoggedIn();
      const first = page.locator('.actors tbody tr').first();
      await poll(() => first.locator('.row-link').innerText()).toBe(HOT_NAME);
      await expectMoves(page, '.actors tbody tr .cell-stock');
      await expectMoves(page, '.actors tbody tr .row-rate');
      await expectMoves(page, '.tile-value');
      await seen('the sparkline grows', async () => {
        const path = (await first.locator('.spark-line').getAttribute('d')) ?? '';
        return path.split('L').length > 4;
      });
      await page.getByRole('link', { name: 'Stock left' }).click();
      expect(page.url()).toContain('sort=stock');
      await page.locator('.segments [aria-current]', { hasText: 'Stock left' }).waitFor();
      const left = async () =>
        (await page.locator('.cell-stock').allInnerTexts()).map((text) =>
          Number(text.replaceAll(/\D/g, '')),
        );
      await seen('least stock first', async () => {
        const now = await left();
        return now.length > 5 && now.every((n, place) => n >= (now[place - 1] ?? 0));
      });
    },
    CASE_MS,
  );

  test(
    'the view of an actor draws four charts that go on',
    async () => {
      const page = await openLoggedIn({ colorScheme: 'light' });
      await page.getByRole('link', { name: HOT_NAME }).click();
      await page.getByRole('heading', { name: HOT_NAME }).waitFor();
      // Colours of lines, not of the grid: something was drawn, in each of them.
      const drawn = `[...document.querySelectorAll('.chart canvas')].map((canvas) => {
        const { width, height } = canvas;
        const copy = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
        copy.drawImage(canvas, 0, 0);
        const { data } = copy.getImageData(0, 0, width, height);
        let blue = 0;
        for (let n = 0; n < data.length; n += 4) {
          if (data[n + 3] > 200 && data[n + 2] > data[n] + 60) blue += 1;
        }
        return blue;
      })`;
      const pixels = async () => (await page.evaluate(drawn)) as number[];
      await seen('four charts are drawn', async () => {
        const counts = await pixels();
        return counts.length === 4 && counts.every((count) => count > 20);
      });
      await expectMoves(page, '.chart-value');
      const facts = await page.locator('.fact dt').allInnerTexts();
      expect(facts).toEqual(expect.arrayContaining(['Available', 'Held', 'Sold', 'Last sequence']));
      expect(await page.locator('.actor-batches tbody tr').count()).toBeGreaterThan(0);
    },
    CASE_MS,
  );

  test('shards and batches are shown', async () => {
    const page = await openLoggedIn();
    await page.getByRole('link', { name: 'Shards' }).click();
    await poll(() => page.locator('.card').count()).toBe(2);
    await poll(() => page.locator('.card .badge').allInnerTexts()).toEqual(['serving', 'serving']);
    await page.getByRole('link', { name: 'Batches' }).click();
    await expectMoves(page, '.batches tbody tr .cell-sent');
    await page.getByRole('button', { name: 'Hold' }).click();
    const held = await page.locator('.batches tbody').innerText();
    const before = await clock(page);
    await seen('two more events', async () => (await clock(page)) > before);
    expect(await page.locator('.batches tbody').innerText()).toBe(held);
  });
});

describe('an operator with a keyboard only', () => {
  /** Tab until the element with this name has the focus. */
  async function tabTo(page: Page, name: string): Promise<void> {
    for (let steps = 0; steps < 60; steps += 1) {
      await page.keyboard.press('Tab');
      const focused = await page.evaluate(
        `(document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent ?? '')`,
      );
      if (focused === name) return;
    }
    throw new Error(`${name} was not reached`);
  }

  test(
    'pauses a product with a reason, finds both in the log, and resumes it',
    async () => {
      const page = await openLoggedIn();
      await page.getByRole('link', { name: HOT_NAME }).waitFor();
      await tabTo(page, HOT_NAME);
      await page.keyboard.press('Enter');
      await page.getByRole('heading', { name: HOT_NAME }).waitFor();
      await tabTo(page, 'Pause');
      await page.keyboard.press('Enter');
      await page.getByRole('dialog').waitFor();
      await page.keyboard.type('wrong <b>price</b>');
      await tabTo(page, 'Pause');
      await page.keyboard.press('Enter');
      await page.getByText(`${HOT_NAME} is paused.`).waitFor();
      await page.getByRole('button', { name: 'Resume' }).waitFor();
      await poll(() => focused(page)).toMatch(/^(Resume|view-title)$/);
      const refused = await new Customer().order(server.url, { items: [[HOT_PRODUCT_ID, 1]] });
      expect(refused.body['code']).toBe('product-not-for-sale');
      await page.getByRole('link', { name: 'Actions' }).focus();
      await page.keyboard.press('Enter');
      // Escaped: it is the reason's text.
      await page.getByText('wrong <b>price</b>').waitFor();
      await page.goBack();
      await tabTo(page, 'Resume');
      await page.keyboard.press('Enter');
      await page.keyboard.type('price is right');
      await page.keyboard.press('Escape');
      await poll(() => page.getByRole('dialog').count()).toBe(0);
      await page.getByRole('button', { name: 'Resume' }).press('Enter');
      await page.keyboard.press('Enter');
      await page.getByText('Say why: nothing is done without a reason.').waitFor();
      await page.keyboard.type('price is right');
      await page.keyboard.press('Enter');
      await page.getByRole('button', { name: 'Pause' }).waitFor();
      await poll(() => focused(page)).toMatch(/^(Pause|view-title)$/);
      const sold = await new Customer().order(server.url, { items: [[HOT_PRODUCT_ID, 1]] });
      expect(sold.status).toBe(201);
    },
    CASE_MS,
  );

  test(
    'restarts a shard, and releases the hold of an order',
    async () => {
      const page = await openLoggedIn();
      await page.getByRole('link', { name: 'Shards' }).click();
      await page.getByRole('button', { name: 'Restart' }).first().press('Enter');
      await page.getByRole('dialog').waitFor();
      await page.goBack();
      await poll(() => page.getByRole('dialog').count()).toBe(0);
      await poll(() => focused(page)).toBe('view-title');
      await page.goForward();
      await page.getByRole('button', { name: 'Restart' }).first().press('Enter');
      await page.keyboard.type('a test');
      await tabTo(page, 'Restart');
      await page.keyboard.press('Enter');
      await page.getByText('Shard 0 was restarted.').waitFor();
      const restarts = page.locator('.card').first().locator('.fact', { hasText: 'Restarts' });
      await poll(() => restarts.locator('dd').innerText()).toBe('1');

      const customer = new Customer();
      let orderId = '';
      await until('an order is accepted', async () => {
        const order = await customer.order(server.url, { items: [[HOT_PRODUCT_ID, 1]] });
        orderId = String(order.body['id']);
        return order.status === 201;
      });
      await page.getByRole('link', { name: 'Actions' }).click();
      await page.getByLabel('Release a hold').fill('nonsense');
      await page.keyboard.press('Enter');
      expect(await page.getByRole('dialog').count()).toBe(0);
      await page.getByLabel('Release a hold').fill(orderId);
      await page.keyboard.press('Enter');
      await page.keyboard.type('asked on the phone');
      await tabTo(page, 'Release');
      await page.keyboard.press('Enter');
      await page.getByText('asked on the phone').waitFor();
      expect((await customer.read(server.url, orderId)).body['status']).toBe('CANCELLED');
      await page.locator('.notice').waitFor();
      await page.getByRole('button', { name: 'Log out' }).click();
      await page.getByRole('heading', { name: 'Log in' }).waitFor();
      expect(await page.locator('.notice').isVisible()).toBe(false);
    },
    CASE_MS,
  );
});

describe('a connection', () => {
  test(
    'that is lost with its server is seen at once, and heals when one is back',
    async () => {
      const page = await openLoggedIn();
      await page.locator('.actors tbody tr').first().waitFor();
      await server.kill();
      await banner(page).waitFor();
      await page.getByText('Connection lost', { exact: true }).waitFor();
      expect(await banner(page).innerText()).toMatch(/What is shown is of \d\d:\d\d:\d\d\./);
      await poll(() => banner(page).innerText()).toMatch(/Next try in \d+ s\.|Trying now/);
      expect(await page.locator('.body').getAttribute('data-stale')).toBe('true');
      server = await startServer();
      await page.getByText('Live', { exact: true }).waitFor();
      expect(await banner(page).isVisible()).toBe(false);
      expect(await page.locator('.body').getAttribute('data-stale')).toBeNull();
      await expectMoves(page, '.actors tbody tr .cell-stock');
    },
    CASE_MS,
  );

  test(
    'to a server that stands still is lost too',
    async () => {
      const page = await openLoggedIn();
      await page.locator('.actors tbody tr').first().waitFor();
      server.signal('SIGSTOP');
      try {
        await page.getByText('The server has gone silent.').waitFor();
      } finally {
        server.signal('SIGCONT');
      }
      await page.getByText('Live', { exact: true }).waitFor();
      expect(await banner(page).isVisible()).toBe(false);
    },
    CASE_MS,
  );

  test('rests while the tab is hidden', async () => {
    const page = await openLoggedIn();
    const show = (state: string) =>
      page.evaluate(
        `Object.defineProperty(document, 'visibilityState', { value: '${state}', configurable: true });
         document.dispatchEvent(new Event('visibilitychange'));`,
      );
    const ended = page.waitForEvent('requestfailed', (request) =>
      request.url().includes('/admin/events'),
    );
    await show('hidden');
    await ended;
    const before = await clock(page);
    await show('visible');
    await seen('the stream goes on', async () => (await clock(page)) > before);
    await page.getByText('Live', { exact: true }).waitFor();
    expect(await banner(page).isVisible()).toBe(false);
  });
});

test(
  'nothing is wider than a phone of 360 px',
  async () => {
    const page = await openLoggedIn({ viewport: PHONE });
    await page.locator('.actors tbody tr').first().waitFor();
    const views = ['actors', `actors/${HOT_PRODUCT_ID}`, 'shards', 'batches', 'actions'];
    for (const view of views) {
      await page.goto(`${server.url}/admin#/${view}`);
      await page.locator('#view-title').waitFor();
      const before = await clock(page).catch(() => '');
      await seen(
        'an event',
        async () => (await page.locator('.light-time').textContent()) !== before,
      );
      const width = await page.evaluate('document.documentElement.scrollWidth');
      expect([view, width]).toEqual([view, PHONE.width]);
    }
  },
  CASE_MS,
);
