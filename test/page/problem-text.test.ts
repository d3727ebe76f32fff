import { expect, test } from 'vitest';

import { problemText } from '../../src/page/problem-text.ts';

test.each([
  ['order-not-found', 'There is no such order.'],
  ['product-not-found', 'There is no such product.'],
  ['order-not-cancellable', 'As the API says it.'],
])('an operator who is refused with %s reads %j', (code, text) => {
  expect(problemText(404, { code, detail: 'As the API says it.' })).toBe(text);
});

test('an answer that is no problem document is told by its status', () => {
  expect(problemText(502, null)).toBe('The server answered 502.');
  expect(problemText(502, {})).toBe('The server answered 502.');
});
