/** Debian's Chromium, without a window and without a word to anybody else's servers. */
import { accessSync, constants } from 'node:fs';
import { chromium } from 'playwright-core';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { DEMO_ACCOUNTS, DEMO_PASSWORD } from '../../src/db/seed.ts';

const PROGRAM = '/usr/bin/chromium';
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/**
 * With a fresh profile that goes with it.
 *
 * @throws Error that says what to install: a missing program is a failure, never a skip.
 */
export async function launchBrowser(): Promise<Browser> {
  try {
    accessSync(PROGRAM, constants.X_OK);
  } catch (cause) {
    const message = `${PROGRAM} is missing: apt-get install chromium (see .ci/run)`;
    throw new Error(message, { cause });
  }
  return chromium.launch({ executablePath: PROGRAM, args: FLAGS });
}

/** What a browser complains of while its server is away. */
const AWAY = /net::ERR_|Failed to load resource/;

export interface AdminTab {
  readonly page: Page;
  /** Faults, and what the policy of the page forbade. */
  readonly complaints: readonly string[];
}

/** A tab of its own at the log-in of /admin. */
export async function openAdminPage(
  browser: Browser,
  serverUrl: string,
  options: BrowserContextOptions = {},
): Promise<AdminTab> {
  const context = await browser.newContext({ timezoneId: 'UTC', ...options });
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    const text = message.text();
    const isComplaint = message.type() === 'error' || message.type() === 'warning';
    if (isComplaint && !AWAY.test(text)) complaints.push(text);
  });
  await page.goto(`${serverUrl}/admin`);
  return { page, complaints };
}

/** As the admin of the demo shop; resolves when the engine is shown. */
export async function logIn(page: Page): Promise<void> {
  await page.getByLabel('Email').fill(DEMO_ACCOUNTS.admin.email);
  await page.getByLabel('Password').fill(DEMO_PASSWORD);
  await page.keyboard.press('Enter');
  await page.getByText('Live', { exact: true }).waitFor();
}
