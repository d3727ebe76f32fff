import type { LookupAddress } from 'node:dns';
import { describe, expect, test } from 'vitest';
import { isPublic, WebhookTarget } from '../../src/jobs/webhook-target.ts';

const PUBLIC = ['1.1.1.1', '93.184.216.34', '172.32.0.1', '100.128.0.1', '2606:4700:4700::1111'];
const SPECIAL = [
  '0.0.0.0',
  '10.255.255.255',
  '100.64.0.1',
  '127.0.0.1',
  '127.255.255.254',
  '169.254.169.254',
  '172.31.255.255',
  '192.0.0.1',
  '192.168.1.1',
  '198.19.255.255',
  '224.0.0.1',
  '255.255.255.255',
  '::',
  '::1',
  '::127.0.0.1',
  '::ffff:127.0.0.1',
  '::ffff:1.1.1.1',
  '64:ff9b::7f00:1',
  'fc00::1',
  'fd12:3456::1',
  'fe80::1',
  'fec0::1',
  'ff02::1',
  '2001::1',
  '2001:db8::1',
  '2002:7f00:1::1',
  '3fff::1',
  'not an address',
];

describe('an address', () => {
  test.each(PUBLIC)('%s is public', (address) => {
    expect(isPublic(address)).toBe(true);
  });
  test.each(SPECIAL)('%s is not', (address) => {
    expect(isPublic(address)).toBe(false);
  });
});

describe('a URL', () => {
  const target = new WebhookTarget({ allowPrivate: false });
  const lenient = new WebhookTarget({ allowPrivate: true });

  test.each(['https://shop.example/hooks', 'http://1.1.1.1:8080/', 'https://[2606:4700::1]/'])(
    '%s is fine',
    (url) => {
      expect(target.refusal(url)).toBeUndefined();
    },
  );

  test.each([
    'http://127.0.0.1/',
    'http://127.1/',
    'http://2130706433/',
    'http://0x7f.0.0.1/',
    'http://0177.0.0.1/',
    'http://127.0.0.1./',
    'http://169.254.169.254/latest/meta-data/',
    'http://[::1]/',
    'http://[::ffff:7f00:1]/',
    'http://localhost:3000/',
    'http://LOCALHOST/',
    'http://api.localhost./',
  ])('%s leads to a private or local address, which only the shop can allow', (url) => {
    expect(target.refusal(url)).toMatch(/private or local/);
    expect(lenient.refusal(url)).toBeUndefined();
  });

  test.each(['https://user:password@shop.example/', 'https://user@shop.example/'])(
    '%s holds what nobody should see in a list',
    (url) => {
      expect(lenient.refusal(url)).toMatch(/user name or password/);
    },
  );

  test.each([
    'ftp://shop.example/',
    'file:///etc/passwd',
    'shop.example',
    'https://',
    'http://a b/',
  ])('%s is none to send anything to', (url) => {
    expect(lenient.refusal(url)).toMatch(/URL/);
  });
});

describe('the look-up', () => {
  type Answer = { error: Error | null; address: string | LookupAddress[]; family?: number };

  function lookUp(
    target: WebhookTarget,
    options: { all?: boolean; family?: number } = { all: true },
  ): Promise<Answer> {
    return new Promise((resolve) => {
      target.lookup('shop.example', options, (error, address, family) => {
        resolve({ error, address, ...(family === undefined ? {} : { family }) });
      });
    });
  }

  const resolvingTo = (...addresses: string[]): WebhookTarget =>
    new WebhookTarget({
      allowPrivate: false,
      resolve: async () =>
        addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    });

  test('answers the addresses that were checked, and those alone', async () => {
    const all = await lookUp(resolvingTo('1.1.1.1', '2606:4700::1'));
    expect(all.address).toEqual([
      { address: '1.1.1.1', family: 4 },
      { address: '2606:4700::1', family: 6 },
    ]);
    const one = await lookUp(resolvingTo('1.1.1.1', '2606:4700::1'), { family: 6 });
    expect(one).toEqual({ error: null, address: '2606:4700::1', family: 6 });
  });

  test.each(SPECIAL.filter((address) => address !== 'not an address'))(
    'refuses a name that leads to %s, be it among others',
    async (address) => {
      const { error } = await lookUp(resolvingTo('1.1.1.1', address));
      expect(error?.message).toBe('shop.example must not lead to a private or local address');
    },
  );

  test('refuses a name that leads nowhere, or not where it is asked', async () => {
    expect((await lookUp(resolvingTo())).error?.message).toBe('shop.example has no address');
    const { error } = await lookUp(resolvingTo('1.1.1.1'), { family: 6 });
    expect(error?.message).toBe('shop.example has no address');
  });

  test('passes on why a name was not found', async () => {
    const target = new WebhookTarget({
      allowPrivate: false,
      resolve: () => Promise.reject(new Error('no such name')),
    });
    expect((await lookUp(target)).error?.message).toBe('no such name');
  });
});
