import { expect, test } from 'vitest';

import { decodeCursor, encodeCursor } from '../../src/http/page-cursor.ts';
import { orderId } from './fake-ports.ts';

const CURSOR = { createdAtUs: '1893553445678901', id: orderId(1) };

function encoded(text: string): string {
  return Buffer.from(text).toString('base64url');
}

test('a cursor survives its journey, microseconds included', () => {
  expect(decodeCursor(encodeCursor(CURSOR))).toEqual(CURSOR);
});

test.each([
  '',
  'zzz',
  encoded('1.2'),
  encoded(`x.${orderId(1)}`),
  encoded(`-1.${orderId(1)}`),
  encoded(`${'9'.repeat(18)}.${orderId(1)}`),
  encoded(`1.${orderId(1)}\n`),
  encoded(`1.${orderId(1)}'; --`),
  `${encodeCursor(CURSOR)}=`,
  `${encodeCursor(CURSOR)}!`,
])('%j is no cursor', (text) => {
  expect(decodeCursor(text)).toBeUndefined();
});
