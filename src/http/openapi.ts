import type {
  FastifyDynamicSwaggerOptions,
  SwaggerTransform,
  SwaggerTransformObject,
} from '@fastify/swagger';

import { ERRORS } from '../domain/errors.ts';
import type { ErrorCode } from '../domain/errors.ts';
import { schemaRef } from './json-schema.ts';
import type { JsonSchema } from './json-schema.ts';
import { PROBLEM_MEDIA_TYPE } from './problem.ts';
import { PROBLEM_STATUS } from './problem-status.ts';
import { errorsOf } from './route-doc.ts';
import type { RouteDoc } from './route-doc.ts';

/** The version of the interface, not of the package. */
const API_VERSION = '0.1.0';

/** Options of @fastify/swagger: one document, made from the routes' own descriptions. */
export function openapiOptions(): FastifyDynamicSwaggerOptions {
  return {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Hedonify',
        version: API_VERSION,
        description:
          'An order engine for flash sales. Every answer carries X-Request-Id; every error is a problem document (RFC 9457).',
      },
      components: {
        securitySchemes: { bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } },
      },
    },
    convertConstToEnum: false,
    refResolver: {
      // Every shared schema was added under its name.
      buildLocalReference: (json) => (typeof json.$id === 'string' ? json.$id : ''),
    },
    transform: describeRoute,
    transformObject: allowNoBody,
  };
}

/** Adds what only readers need: the serializer would compile an error schema for every route. */
const describeRoute: SwaggerTransform = ({ schema, url, route }) => {
  const doc = route.config?.doc;
  if (doc === undefined) return { schema: { ...schema, hide: true }, url };
  return {
    url,
    schema: {
      ...schema,
      operationId: doc.operationId,
      summary: doc.summary,
      tags: [doc.tag],
      security: securityOf(doc),
      response: { ...successOf(doc), ...problemsOf(errorsOf(doc)) },
    },
  };
};

function securityOf(doc: RouteDoc): { bearer?: string[] }[] {
  if (doc.auth === 'none') return [];
  return doc.auth === 'required' ? [{ bearer: [] }] : [{ bearer: [] }, {}];
}

/** The plugin's word for an answer without a body. */
const NO_BODY = { type: 'null' };

function successOf(doc: RouteDoc): JsonSchema {
  const { status, description, schema, mediaType = 'application/json', headers = {} } = doc.success;
  const described = Object.entries(headers).map(([name, text]) => [
    name,
    { type: 'string', description: text },
  ]);
  const body = schema === null ? NO_BODY : { content: { [mediaType]: { schema } } };
  const success = { description, headers: Object.fromEntries(described), ...body };
  if (doc.unchanged === undefined) return { [status]: success };
  return { [status]: success, 304: { description: doc.unchanged, ...NO_BODY } };
}

function problemsOf(codes: readonly ErrorCode[]): JsonSchema {
  const byStatus = Map.groupBy(codes, (code) => PROBLEM_STATUS[code]);
  const responses = [...byStatus].map(([status, group]) => {
    const description = group.map((code) => `\`${code}\`: ${ERRORS[code].title}`).join('\n\n');
    return [status, { description, headers: problemHeaders(status), content: PROBLEM_CONTENT }];
  });
  return Object.fromEntries(responses);
}

/** The plugin calls every body required; one that may be null may be left out as well. */
const allowNoBody: SwaggerTransformObject = (document) => {
  if (!('openapiObject' in document)) return document.swaggerObject;
  for (const path of Object.values(document.openapiObject.paths ?? {})) {
    const body = path?.post?.requestBody;
    if (body === undefined || !('content' in body)) continue;
    const schema = body.content['application/json']?.schema;
    if (schema === undefined || !('type' in schema) || !Array.isArray(schema.type)) continue;
    body.required = !schema.type.includes('null');
  }
  return document.openapiObject;
};

const PROBLEM_CONTENT = { [PROBLEM_MEDIA_TYPE]: { schema: schemaRef('Problem') } };

function problemHeaders(status: number): JsonSchema {
  if (status !== 503 && status !== 429) return {};
  return { 'Retry-After': { type: 'string', description: 'Seconds.' } };
}
