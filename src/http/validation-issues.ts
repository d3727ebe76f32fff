import type { FastifySchemaValidationError } from 'fastify';
import { z } from 'zod';

import { SHARD_TEXT } from './admin-schemas.ts';
import type { Issue } from './problem.ts';
import { CURRENCY_TEXT } from './product-schemas.ts';
import { IF_MATCH_TEXT } from './product-tag.ts';
import { KEY_TEXT, STORABLE_TEXT, UUID_TEXT } from './shared-schemas.ts';
import { USERNAME_TEXT } from './user-schemas.ts';
import { WEBHOOK_URL_TEXT } from './webhook-schemas.ts';

/** The name of an unknown field can be as long as the body. */
const PATH_CHARS_MAX = 200;

/** What a pattern asks for, in words. */
const PATTERN_MESSAGES: ReadonlyMap<unknown, string> = new Map([
  [STORABLE_TEXT.source, 'must not contain NUL or an unpaired surrogate'],
  [UUID_TEXT.source, 'must be a UUID'],
  [KEY_TEXT.source, 'must be 1 to 255 visible ASCII characters'],
  [USERNAME_TEXT.source, 'must be 3 to 40 letters, digits, dots, hyphens or underscores'],
  [CURRENCY_TEXT.source, 'must be three capital letters, as in USD'],
  [SHARD_TEXT.source, 'must be the number of a shard'],
  [IF_MATCH_TEXT.source, 'must be * or a version in quotes, as in "3"'],
  [z.regexes.datetime({}).source, 'must be a time in UTC, as in 2030-01-31T12:00:00Z'],
  [z.regexes.email.source, 'must be an email address'],
  [
    WEBHOOK_URL_TEXT.source,
    'must be an https or http URL without spaces or other signs beyond ASCII',
  ],
]);

/** The names of the parts of a request in `errors[].path`; the body's own paths start bare. */
const PARTS: ReadonlyMap<string | undefined, string> = new Map([
  ['querystring', 'query'],
  ['params', 'params'],
  ['headers', 'headers'],
]);

/**
 * Ajv's errors as issues: the first one of a body, of any other part at most one per known field.
 *
 * @param part - Fastify's `validationContext`: body, querystring, params or headers.
 */
export function validationIssues(
  errors: readonly FastifySchemaValidationError[],
  part: string | undefined,
): Issue[] {
  return errors
    .filter((error) => !error.schemaPath.includes('/propertyNames/'))
    .map((error) => ({ path: pathOf(error, PARTS.get(part) ?? ''), message: messageOf(error) }));
}

function pathOf(error: FastifySchemaValidationError, start: string): string {
  const { missingProperty, additionalProperty, propertyName } = error.params;
  const named = missingProperty ?? additionalProperty ?? propertyName;
  let path = start;
  for (const step of error.instancePath.split('/').slice(1)) {
    const name = step.replaceAll('~1', '/').replaceAll('~0', '~');
    path = /^\d+$/.test(name) ? `${path}[${name}]` : joined(path, name);
  }
  if (typeof named === 'string') path = joined(path, named);
  return path === '' ? 'body' : path.slice(0, PATH_CHARS_MAX);
}

function joined(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`;
}

function messageOf(error: FastifySchemaValidationError): string {
  switch (error.keyword) {
    case 'required':
      return 'is required';
    case 'additionalProperties':
      return 'is not a known field';
    case 'propertyNames':
      return 'must be a shorter name without NUL or an unpaired surrogate';
    case 'pattern':
      return PATTERN_MESSAGES.get(error.params.pattern) ?? 'has a form that is not allowed';
    case 'enum':
      return `must be one of ${String(error.params.allowedValues)}`;
    case 'not':
      return 'must not be 0';
    default:
      return error.message ?? 'is not valid';
  }
}
