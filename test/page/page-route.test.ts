import { expect, test } from 'vitest';

import { hashOf, parseRoute, uuidOf } from '../../src/page/page-route.ts';

const ID = '10000000-0000-7000-8000-00000000000a';

test.each(['#/actors?sort=depth', `#/actors/${ID}`, '#/shards', '#/batches', '#/actions'])(
  '%s is an address of a view',
  (hash) => expect(hashOf(parseRoute(hash))).toBe(hash),
);

test.each(['', '#', '#/', '#/nowhere', '#/actors/7', '#/actors?sort=x', '#/__proto__', '#main'])(
  '%j leads to the hottest actors',
  (hash) => expect(parseRoute(hash)).toEqual({ view: 'actors', sort: 'rate' }),
);

test('an id is found in what was pasted, blanks and upper case aside', () => {
  expect(uuidOf(` ${ID.toUpperCase()}\n`)).toBe(ID);
  expect(uuidOf(`${ID}/../x`)).toBeUndefined();
});
