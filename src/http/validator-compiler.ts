import { Ajv } from 'ajv';
import type { Options } from 'ajv';
import type { FastifySchemaCompiler } from 'fastify';

import type { JsonSchema } from './json-schema.ts';

const OPTIONS: Options = {
  allErrors: true,
  allowUnionTypes: true,
  removeAdditional: false,
  useDefaults: false,
  // The patterns decide; a format is only a word of the document.
  formats: { uuid: true, email: true },
};

/**
 * Fastify's own validator would coerce bodies too and drop unknown fields in silence. Here JSON is
 * taken as it is, and only the query, which is text by nature, is read as the types it asks for.
 */
export function createValidatorCompiler(): FastifySchemaCompiler<JsonSchema> {
  const exact = new Ajv({ ...OPTIONS, coerceTypes: false });
  const coercing = new Ajv({ ...OPTIONS, coerceTypes: true });
  return ({ schema, httpPart }) => (httpPart === 'querystring' ? coercing : exact).compile(schema);
}
