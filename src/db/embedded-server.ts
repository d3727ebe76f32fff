/**
 * The server of an embedded cluster as its clients see it: its address, whether it answers, and
 * how one that does is come by. Starting and stopping is embedded-cluster.ts's.
 */
import pg from 'pg';
import { setTimeout as delay } from 'node:timers/promises';
import { EMBEDDED_USER, lastSocketDir, readPassword } from './embedded-cluster.ts';
import { readPostmaster, startServer, stopServer } from './embedded-cluster.ts';
import type { Cluster, Postmaster } from './embedded-cluster.ts';
import { isServerProcess } from './embedded-processes.ts';
import { SOCKET_PORT } from './embedded-settings.ts';
import { hasUsers } from './embedded-users.ts';

/** The database of ours in every embedded cluster. */
export const EMBEDDED_DATABASE = 'hedonify';
/** The database that every cluster has, for the connection that creates ours. */
const MAINTENANCE_DATABASE = 'postgres';
const CONNECT_TIMEOUT_MS = 5_000;
/** A live postmaster without a socket, or one that accepts and says nothing, is given up after. */
const SILENCE_MAX_MS = 15_000;
/** As long as a server says itself that it is recovering, it is waited for. */
const RECOVERY_MAX_MS = 300_000;
const POLL_MS = 50;

const CANNOT_CONNECT_NOW = '57P03';
const TOO_MANY_CONNECTIONS = '53300';
const REFUSED_LOGIN = ['28P01', '28000'];

/** Where a server is reached. */
export interface Address {
  readonly postmaster: Postmaster;
  readonly password: string;
}

/** Of a database as the superuser, over the unix socket; holds the password. */
export function urlOf({ postmaster, password }: Address, database: string): string {
  const host = encodeURIComponent(postmaster.socketDir);
  // Port and sslmode are said because PGPORT and PGSSLMODE of the environment would win otherwise.
  return `postgresql://${EMBEDDED_USER}:${password}@${host}:${SOCKET_PORT}/${database}?sslmode=disable`;
}

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    application_name: 'hedonify-embedded',
  });
  // Without a listener, a server that dies between two statements would end the process.
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

type Answer = 'answers' | 'recovering' | 'silent';

async function ask(address: Address): Promise<Answer> {
  try {
    const client = await connect(urlOf(address, MAINTENANCE_DATABASE));
    await client.end();
    return 'answers';
  } catch (error) {
    const code = error instanceof pg.DatabaseError ? error.code : undefined;
    if (code === TOO_MANY_CONNECTIONS) return 'answers';
    if (code === CANNOT_CONNECT_NOW) return 'recovering';
    if (code !== undefined && REFUSED_LOGIN.includes(code)) {
      throw new Error('the embedded PostgreSQL refuses the password in postgres-password', {
        cause: error,
      });
    }
    return 'silent';
  }
}

/** Whether the server named by postmaster.pid can be adopted, has died, or lives but is silent. */
async function judge(cluster: Cluster, address: Address): Promise<'answers' | 'dead' | 'silent'> {
  const start = performance.now();
  for (;;) {
    const answer = await ask(address);
    if (answer === 'answers') return 'answers';
    if (!isServerProcess(cluster, address.postmaster.pid)) return 'dead';
    const waitedMax = answer === 'recovering' ? RECOVERY_MAX_MS : SILENCE_MAX_MS;
    if (performance.now() - start > waitedMax) return 'silent';
    await delay(POLL_MS);
  }
}

/**
 * The server that runs, or else a new one at the address that its users know. Only in one's turn.
 * @throws Error when there is a server that does not answer and may not be replaced
 */
export async function adoptOrStart(
  cluster: Cluster,
  onProgress: (message: string) => void,
): Promise<Address> {
  const password = await readPassword(cluster);
  const postmaster = await readPostmaster(cluster);
  if (postmaster !== undefined) {
    const verdict = await judge(cluster, { postmaster, password });
    if (verdict === 'answers') {
      onProgress(`using the PostgreSQL that already runs (pid ${postmaster.pid})`);
      return { postmaster, password };
    }
    if (verdict === 'silent') {
      if (hasUsers(cluster.dataDir)) {
        throw new Error(
          `PostgreSQL (pid ${postmaster.pid}) in ${cluster.directory} does not answer, and it is ` +
            'not replaced because another live process uses it',
        );
      }
      onProgress(`replacing a PostgreSQL that does not answer (pid ${postmaster.pid})`);
      await stopServer(cluster);
    }
  }
  onProgress(`starting PostgreSQL in ${cluster.directory}`);
  // Who uses it knows its address, and may have another TMPDIR than we.
  const socketDir = hasUsers(cluster.dataDir) ? await lastSocketDir(cluster) : undefined;
  return { postmaster: await startServer(cluster, socketDir), password };
}

/** Creates our database in the cluster, unless it is there. */
export async function createDatabase(address: Address): Promise<void> {
  const client = await connect(urlOf(address, MAINTENANCE_DATABASE));
  try {
    const found = await client.query('SELECT FROM pg_database WHERE datname = $1', [
      EMBEDDED_DATABASE,
    ]);
    if (found.rowCount === 0) await client.query(`CREATE DATABASE ${EMBEDDED_DATABASE}`);
  } finally {
    await client.end();
  }
}
