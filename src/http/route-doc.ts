/** What a route says of itself, once: Fastify validates by it and the OpenAPI document shows it. */
import type { FastifySchema } from 'fastify';
import type { z } from 'zod';

import type { ErrorCode } from '../domain/errors.ts';
import { jsonSchemaOf } from './json-schema.ts';
import type { JsonSchema } from './json-schema.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    doc?: RouteDoc;
    /** As `RouteDoc.uncounted`, of a route that has no place in the document. */
    uncounted?: true;
  }
}

/** What a route takes as its body. */
interface BodyDoc {
  readonly schema: z.ZodType;
  /** Anything larger is refused unread. The widest spelling of everything allowed fits. */
  readonly bytesMax: number;
}

/** The description of a route. */
export interface RouteDoc {
  /** Unique; generated clients name their methods after it. */
  readonly operationId: string;
  readonly summary: string;
  readonly tag: 'users' | 'products' | 'carts' | 'orders' | 'webhooks' | 'admin' | 'operation';
  readonly auth: 'required' | 'optional' | 'none';
  readonly params?: z.ZodType;
  readonly query?: z.ZodType;
  readonly headers?: z.ZodType;
  readonly body?: BodyDoc;
  readonly success: {
    readonly status: 200 | 201 | 202 | 204;
    readonly description: string;
    /** Null = no body. */
    readonly schema: JsonSchema | null;
    /** `application/json` unless given; of anything else the schema is for readers alone. */
    readonly mediaType?: string;
    readonly headers?: Readonly<Record<string, string>>;
  };
  /** When the answer is 304 instead. */
  readonly unchanged?: string;
  /** Answered by JSON.stringify: to compile a serializer takes longer than it would ever save. */
  readonly rare?: true;
  /** RATE_LIMIT_PER_MINUTE does not count its requests. */
  readonly uncounted?: true;
  /** The route's own codes; those that follow from the fields above are added by `errorsOf`. */
  readonly errors: readonly ErrorCode[];
}

interface DocumentedOptions {
  readonly schema: FastifySchema;
  readonly config: { readonly doc: RouteDoc };
  readonly bodyLimit?: number;
}

/** The Fastify options of a documented route. */
export function documented(doc: RouteDoc): DocumentedOptions {
  const { success } = doc;
  const schema: FastifySchema = {};
  if (success.schema !== null && success.mediaType === undefined && doc.rare !== true) {
    schema.response = { [success.status]: success.schema };
  }
  if (doc.params !== undefined) schema.params = jsonSchemaOf(doc.params);
  if (doc.query !== undefined) schema.querystring = jsonSchemaOf(doc.query);
  if (doc.headers !== undefined) schema.headers = jsonSchemaOf(doc.headers);
  if (doc.body === undefined) return { schema, config: { doc } };
  schema.body = jsonSchemaOf(doc.body.schema);
  return { schema, config: { doc }, bodyLimit: doc.body.bytesMax };
}

/** Every code a route can answer with, each once. */
export function errorsOf(doc: RouteDoc): ErrorCode[] {
  const codes = new Set<ErrorCode>(doc.errors);
  if (doc.params ?? doc.query ?? doc.headers ?? doc.body) codes.add('validation');
  if (doc.auth !== 'none') codes.add('unauthenticated');
  if (doc.body !== undefined) codes.add('body-too-large').add('unsupported-media-type');
  if (doc.uncounted !== true) codes.add('rate-limited');
  return [...codes.add('internal').add('shutting-down')];
}
