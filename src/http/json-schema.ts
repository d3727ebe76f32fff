/**
 * zod is the one source of every schema; JSON Schema is derived from it once, for Ajv, for the
 * serializer and for the OpenAPI document.
 */
import { z } from 'zod';

/** A JSON Schema object. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** The draft-7 JSON Schema of what a zod schema accepts. */
export function jsonSchemaOf(schema: z.ZodType): JsonSchema {
  const derived = z.toJSONSchema(schema, { target: 'draft-7', io: 'input' });
  const { $schema: _, ...rest } = derived;
  return withoutNullUnions(rest);
}

/** A reference to a schema that was added to the app under this name. */
export function schemaRef(name: string): JsonSchema {
  return { $ref: `${name}#` };
}

/** A whole list of a named schema, which is bounded by nature and has no pages. */
export function listSchemaOf(name: string): JsonSchema {
  return {
    type: 'object',
    required: ['items'],
    properties: { items: { type: 'array', items: schemaRef(name) } },
  };
}

/** One page of a list of a named schema. */
export function pageSchemaOf(name: string): JsonSchema {
  return {
    type: 'object',
    required: ['items', 'next_cursor'],
    properties: {
      items: { type: 'array', items: schemaRef(name) },
      next_cursor: {
        type: ['string', 'null'],
        description: 'Pass it as `cursor` to get the next page; null at the end.',
      },
    },
  };
}

/**
 * `anyOf: [x, null]` as `type: [.., 'null']`: for a union the serializer would run a validator on
 * every answer, for a list of types it only looks at the value.
 */
function withoutNullUnions(schema: JsonSchema): JsonSchema {
  const { anyOf, ...rest } = schema;
  if (Array.isArray(anyOf) && anyOf.length === 2 && isSchema(anyOf[1])) {
    const [some, none] = anyOf;
    if (none.type === 'null' && isSchema(some) && typeof some.type === 'string') {
      const values = Array.isArray(some.enum) ? { enum: [...some.enum, null] } : {};
      return withoutNullUnions({ ...rest, ...some, type: [some.type, 'null'], ...values });
    }
  }
  const entries = Object.entries(schema)
    .filter(([, value]) => !isSafeIntegerBound(value))
    .map(([key, value]) => [key, mapSchemas(value)]);
  return Object.fromEntries(entries);
}

/** zod bounds every integer by what a double can hold; said of each, it only hides real bounds. */
function isSafeIntegerBound(value: unknown): boolean {
  return value === Number.MAX_SAFE_INTEGER || value === Number.MIN_SAFE_INTEGER;
}

function mapSchemas(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(mapSchemas);
  return isSchema(value) ? withoutNullUnions(value) : value;
}

function isSchema(value: unknown): value is JsonSchema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
