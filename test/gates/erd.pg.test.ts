import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AUDIT_RULES } from '../../src/db/audit.ts';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';

const page = readFileSync(resolve(import.meta.dirname, '../../docs/ARCHITECTURE.md'), 'utf8');

/** `table.column type`, with `PK` for a column of the primary key and `null` where it may be. */
type Column = string;
/** `child.columns -> parent`. */
type Reference = string;

interface Diagram {
  readonly columns: readonly Column[];
  /** Solid lines: the database checks them. */
  readonly foreignKeys: readonly Reference[];
  /** Dashed lines: the audit checks them. */
  readonly audited: readonly { readonly reference: Reference; readonly rules: readonly string[] }[];
}

const RELATION =
  /^(?<parent>\w+) [|o}{]{2}(?<line>--|\.\.)[|o}{]{2} (?<child>\w+) : "(?<label>[^"]+)"$/;
const AUDITED = /^(?<columns>[\w, ]+?), checked by audit: (?<rules>[\w, -]+)$/;
const COLUMN =
  /^(?<type>\w+(?:\[\])?) (?<name>\w+)(?<keys>(?: (?:PK|FK|UK),?)*)(?: "(?<note>[^"]*)")?$/;

/** @throws Error naming the line that is neither a table, nor a column, nor a relation. */
function readDiagram(markdown: string): Diagram {
  const text = /^```mermaid\nerDiagram\n(?<body>[\s\S]*?)^```/m.exec(markdown)?.groups?.['body'];
  if (text === undefined) throw new Error('the page has no erDiagram');
  const columns: Column[] = [];
  const foreignKeys: Reference[] = [];
  const audited: { reference: Reference; rules: string[] }[] = [];
  let table: string | undefined;
  for (const line of text.split('\n').map((it) => it.trim())) {
    const opened = /^(\w+) \{$/.exec(line)?.[1];
    const relation = RELATION.exec(line)?.groups;
    const column = COLUMN.exec(line)?.groups;
    if (line === '' || line.startsWith('%%')) continue;
    if (opened !== undefined) table = opened;
    else if (line === '}') table = undefined;
    else if (table !== undefined && column !== undefined) {
      const primary = column['keys']?.includes('PK') === true ? ' PK' : '';
      const nullable = column['note']?.includes('or null') === true ? ' null' : '';
      columns.push(`${table}.${column['name']} ${column['type']}${primary}${nullable}`);
    } else if (relation !== undefined) {
      const { parent = '', child = '', label = '' } = relation;
      if (relation['line'] === '--') foreignKeys.push(`${child}.${label} -> ${parent}`);
      else {
        const { columns: by, rules } = AUDITED.exec(label)?.groups ?? {};
        if (rules === undefined) throw new Error(`a dashed line names its audit rule: ${line}`);
        audited.push({ reference: `${child}.${by} -> ${parent}`, rules: rules.split(', ') });
      }
    } else throw new Error(`not understood: ${line}`);
  }
  return { columns, foreignKeys, audited };
}

const COLUMNS = /* sql */ `
  SELECT c.relname || '.' || a.attname || ' '
         || replace(format_type(a.atttypid, a.atttypmod), 'timestamp with time zone', 'timestamptz')
         || CASE WHEN a.attnum = ANY (k.conkey) THEN ' PK' ELSE '' END
         || CASE WHEN a.attnotnull THEN '' ELSE ' null' END AS column
    FROM pg_class c
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'p'
   WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')`;

const FOREIGN_KEYS = /* sql */ `
  SELECT child.relname || '.' || string_agg(a.attname, ', ' ORDER BY k.position)
         || ' -> ' || parent.relname AS reference
    FROM pg_constraint f
    JOIN pg_class child ON child.oid = f.conrelid
    JOIN pg_class parent ON parent.oid = f.confrelid
    JOIN unnest(f.conkey) WITH ORDINALITY AS k (attnum, position) ON true
    JOIN pg_attribute a ON a.attrelid = child.oid AND a.attnum = k.attnum
   WHERE f.contype = 'f' AND child.relnamespace = 'public'::regnamespace
   GROUP BY f.oid, child.relname, parent.relname`;

const DIAGRAM = readDiagram(page);

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});

afterAll(async () => {
  await database.close();
});

describe('the diagram of tables in docs/ARCHITECTURE.md', () => {
  test('has each table and column of the schema with its type, key and nullability, and no other', async () => {
    const stored = await database.query<{ column: string }>(COLUMNS);
    expect(stored.length).toBeGreaterThan(50);
    expect(DIAGRAM.columns.toSorted()).toEqual(stored.map(({ column }) => column).toSorted());
  });

  test('draws each foreign key as a solid line, and nothing else', async () => {
    const stored = await database.query<{ reference: string }>(FOREIGN_KEYS);
    expect(DIAGRAM.foreignKeys.toSorted()).toEqual(
      stored.map(({ reference }) => reference).toSorted(),
    );
  });

  test.each(DIAGRAM.audited)('$reference is checked by the audit', ({ reference, rules }) => {
    const { child, columns, parent } =
      /^(?<child>\w+)\.(?<columns>.+) -> (?<parent>\w+)$/.exec(reference)?.groups ?? {};
    for (const column of columns?.split(', ') ?? []) {
      expect(DIAGRAM.columns.some((it) => it.startsWith(`${child}.${column} `))).toBe(true);
    }
    for (const name of rules) {
      const rule = AUDIT_RULES.find((it) => it.name === name);
      expect(rule?.sql).toMatch(new RegExp(`\\b${child}\\b`));
      expect(rule?.sql).toMatch(new RegExp(`\\b${parent}\\b`));
    }
  });

  test('has a dashed line for what deliberately has no foreign key', () => {
    const drawn = DIAGRAM.audited.map(({ reference }) => reference);
    expect(drawn).toEqual(
      expect.arrayContaining([
        'orders.owner_id, batch_no -> commit_batches',
        'order_items.order_id -> orders',
        'order_items.product_id -> products',
      ]),
    );
  });

  test('with a line that cannot be read is refused', () => {
    const drawn = (line: string) => () =>
      readDiagram(`\`\`\`mermaid\nerDiagram\n${line}\n\`\`\`\n`);
    expect(drawn('  a ||..o{ b : "a_id"')).toThrow('names its audit rule');
    expect(drawn('  a ||--o{ b')).toThrow('not understood');
    expect(drawn('  uuid id PK')).toThrow('not understood');
  });
});
