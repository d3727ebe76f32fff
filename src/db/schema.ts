/**
 * Brings db/schema.sql and db/merge.sql into an empty database, and recognises a database that has
 * them. Migrates nothing: there are no migrations before the first tagged release.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { ClientBase } from 'pg';

/** merge_batch and the schema are used as on PostgreSQL 15; older ones were never tried. */
const SERVER_VERSION_MIN = 150_000;
/** 'HedS' in ASCII; the owner locks of merge.sql are another class. */
const SCHEMA_LOCK_CLASS = 0x48656453;

const FILES = ['schema.sql', 'merge.sql'] as const;

interface SchemaSource {
  readonly statements: readonly string[];
  /** sha256 over both files, 64 hex digits. */
  readonly digest: string;
}

async function readSource(): Promise<SchemaSource> {
  const statements = await Promise.all(
    FILES.map((file) => readFile(new URL(`../../db/${file}`, import.meta.url), 'utf8')),
  );
  const digest = createHash('sha256').update(statements.join('\0')).digest('hex');
  return { statements, digest };
}

/**
 * Version and encoding. In any other encoding than UTF8 some text that the door lets in (an emoji in
 * a reference) cannot be stored, and would abort the batch that it shares with other orders.
 */
async function assertServer(client: ClientBase): Promise<void> {
  const { rows } = await client.query<{
    number: number;
    version: string;
    encoding: string;
  }>(/* sql */ `SELECT current_setting('server_version_num')::integer AS number,
                      current_setting('server_version') AS version,
                      current_setting('server_encoding') AS encoding`);
  const [server] = rows;
  if (server === undefined || server.number < SERVER_VERSION_MIN) {
    throw new Error(
      `Hedonify needs PostgreSQL 15 or newer; this server is ${server?.version ?? 'unknown'}`,
    );
  }
  if (server.encoding !== 'UTF8') {
    throw new Error(
      `Hedonify needs a database in UTF8, and this one is in ${server.encoding}. Make another: ` +
        `CREATE DATABASE hedonify TEMPLATE template0 ENCODING 'UTF8'`,
    );
  }
}

/** Undefined = no schema; null = one that does not say which. */
async function appliedDigest(client: ClientBase): Promise<string | null | undefined> {
  const { rows } = await client.query<{
    owners: boolean;
    info: boolean;
  }>(/* sql */ `SELECT to_regclass('owners') IS NOT NULL AS owners,
                      to_regclass('schema_info') IS NOT NULL AS info`);
  if (rows[0]?.owners !== true) return undefined;
  if (!rows[0].info) return null;
  const applied = await client.query<{ digest: string }>('SELECT digest FROM schema_info');
  return applied.rows[0]?.digest ?? null;
}

async function applyOrCompare(client: ClientBase): Promise<'created' | 'present'> {
  const { statements, digest } = await readSource();
  const applied = await appliedDigest(client);
  if (applied === digest) return 'present';
  if (applied !== undefined) {
    throw new Error(
      'This database was made by another version of the schema ' +
        `(${applied?.slice(0, 12) ?? 'unknown'}, this program has ${digest.slice(0, 12)}), and ` +
        'there are no migrations before the first tagged release: use an empty database, or ' +
        'another DATA_DIR.',
    );
  }
  for (const statement of statements) await client.query(statement);
  await client.query('INSERT INTO schema_info (digest) VALUES ($1)', [digest]);
  return 'created';
}

/**
 * Applies the schema to an empty database in one transaction, or proves that it is there already.
 * READ COMMITTED, so that whoever waited for the lock sees what the one before it applied. No
 * timeouts: it runs before anything is served. Processes that start together are safe.
 * @throws Error when the server is too old, or the database has another encoding than UTF8 or
 * another schema; nothing was changed
 */
export async function applySchema(client: ClientBase): Promise<'created' | 'present'> {
  await assertServer(client);
  await client.query('BEGIN ISOLATION LEVEL READ COMMITTED');
  try {
    await client.query('SELECT pg_advisory_xact_lock($1, 0)', [SCHEMA_LOCK_CLASS]);
    const result = await applyOrCompare(client);
    await client.query('COMMIT');
    return result;
  } catch (error) {
    // A ROLLBACK that fails means the connection is gone, and the first error says why.
    await client.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
}
