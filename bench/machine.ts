/** What a figure belongs to: the machine, its programs, and how PostgreSQL was set. */
import { execFileSync } from 'node:child_process';
import { cpus, release, totalmem } from 'node:os';
import type { ClusterOptions } from './cluster.ts';
import { GENERATOR } from './http-load.ts';
import { inDatabase } from './in-database.ts';

const GIGABYTE = 1024 ** 3;
/** Said whether they differ from the defaults or not: without them nothing was durable. */
const DURABILITY = ['fsync', 'synchronous_commit', 'full_page_writes'];

/** Not where it listens, what it logs, or in which language: no figure depends on it. */
const SETTINGS_SQL = /* sql */ `
  SELECT name || '=' || current_setting(name) AS text
    FROM pg_settings
   WHERE name = ANY ($1)
      OR (setting IS DISTINCT FROM boot_val
          AND source IN ('configuration file', 'command line')
          AND category NOT LIKE 'Reporting and Logging%'
          AND category NOT LIKE 'Client Connection Defaults / Locale%'
          AND name NOT IN ('listen_addresses', 'port', 'config_file', 'log_timezone',
                           'unix_socket_directories', 'unix_socket_permissions'))
   ORDER BY name = ANY ($1) DESC, name`;

/** Lines of every report. */
export function machineFacts(): string[] {
  const [cpu] = cpus();
  return [
    `${cpus().length} x ${cpu?.model.trim() ?? 'unknown CPU'}, ` +
      `${Math.round(totalmem() / GIGABYTE)} GB, ${process.platform} ${release()}; ` +
      'load generator, servers and PostgreSQL share them',
    `Node ${process.version}, load by ${GENERATOR}, commit ${commit()}`,
  ];
}

/** One line of a cluster: what it is, what was changed, and how slow its disk was made. */
export async function clusterFact(databaseUrl: string, options: ClusterOptions): Promise<string> {
  const { fsyncDelayMs = 0 } = options;
  return await inDatabase(databaseUrl, async (client) => {
    const version = await client.query<{ server_version: string }>('SHOW server_version');
    const settings = await client.query<{ text: string }>(SETTINGS_SQL, [DURABILITY]);
    const slowed = fsyncDelayMs > 0 ? `, every fsync ${fsyncDelayMs} ms slower` : '';
    return (
      `PostgreSQL ${version.rows[0]?.server_version ?? 'unknown'}${slowed}: ` +
      settings.rows.map(({ text }) => text).join(', ')
    );
  });
}

/** Of the working tree; a report of changed files says so. */
function commit(): string {
  try {
    const git = (...args: string[]) =>
      execFileSync('git', args, { cwd: import.meta.dirname, encoding: 'utf8' }).trim();
    const changed = git('status', '--porcelain', '--', '../src', '../db', '.') !== '';
    return `${git('rev-parse', '--short', 'HEAD')}${changed ? ' with changes' : ''}`;
  } catch {
    return 'unknown';
  }
}
