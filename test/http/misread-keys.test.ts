import { expect, test } from 'vitest';
import { productId, TestApp } from './fake-ports.ts';

/**
 * V8 reads an escaped key as one that ends in a backslash once it has seen such a key in an object
 * of that shape: https://github.com/nodejs/node/issues/63785. One customer's request must not change
 * what another one's metadata say, nor turn the repeat of a request into misuse of its key (I3).
 */
test('metadata are taken as sent or refused, whatever keys were sent before them', async () => {
  const app = new TestApp();
  const line = `"items":[{"product_id":"${productId(1)}","quantity":1}]`;
  const send = (metadata: string) =>
    app.send({
      method: 'POST',
      url: '/orders',
      payload: `{${line},"metadata":${metadata}}`,
      headers: { ...app.customer, 'content-type': 'application/json', 'idempotency-key': 'k' },
    });
  const described = String.raw`{"colour":"red","\n":"blue"}`;
  const answers = [
    await send(described),
    await send(String.raw`{"colour":"","\\":""}`),
    await send(described),
  ];
  const [first, , repeat] = answers.map(({ statusCode }) => statusCode);
  expect([201, 400]).toContain(first);
  expect(repeat).toBe(first);
  const taken = app.gateway.placed.filter(({ metadata }) => metadata?.['colour'] === 'red');
  for (const { metadata } of taken) {
    expect(Object.entries(metadata ?? {})).toEqual([
      ['colour', 'red'],
      ['\n', 'blue'],
    ]);
  }
  const plain = await send('{"colour":"red","size":"ä \\"10\\""}');
  expect(plain.statusCode).toBe(201);
  expect(app.gateway.placed.at(-1)?.metadata).toEqual({ colour: 'red', size: 'ä "10"' });
});
