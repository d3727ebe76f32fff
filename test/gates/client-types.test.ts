import openapiTypescript, { astToString } from 'openapi-typescript';
import { expect, it } from 'vitest';
import { TestApp } from '../http/fake-ports.ts';

const HEADER = `/**
 * Generated from /openapi.json by openapi-typescript; \`npm run client:types\` writes it anew.
 */
`;

it('the types of the client are those of /openapi.json', async () => {
  const document = (await new TestApp().get('/openapi.json')).json();
  const text = HEADER + astToString(await openapiTypescript(document));
  await expect(text).toMatchFileSnapshot('../../clients/typescript/schema.ts');
});
