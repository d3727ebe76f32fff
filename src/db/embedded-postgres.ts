/**
 * A PostgreSQL of our own for machines that have none: one cluster in DATA_DIR, shared by every
 * process that names the same directory (server, audit, tests).
 *
 * The server outlives a `kill -9` of the process that started it, on purpose: the next process
 * adopts it and nothing has to recover. It stops when its last user releases it. Whoever starts,
 * adopts or stops it does so in its turn, and never stops one that a live process uses
 * (embedded-users.ts). A server that vanished is restarted by acquiring again, before or after
 * releasing the first handle: address and password stay the same.
 *
 * There is never a second server on one cluster, not even where the first one cannot be seen
 * (embedded-presence.ts).
 */
import pg from 'pg';
import { setTimeout as delay } from 'node:timers/promises';
import { boundLog, createCluster, isRunning, openCluster } from './embedded-cluster.ts';
import { readPassword, readPostmaster, startServer, stopServer } from './embedded-cluster.ts';
import { EMBEDDED_USER } from './embedded-cluster.ts';
import type { Cluster, Postmaster } from './embedded-cluster.ts';
import { SOCKET_PORT } from './embedded-settings.ts';
import { hasUsers, registerUser, takeTurn } from './embedded-users.ts';

const DATABASE = 'hedonify';
/** The database that every cluster has, for the connection that creates ours. */
const MAINTENANCE_DATABASE = 'postgres';
const CONNECT_TIMEOUT_MS = 5_000;
/** A live postmaster without a socket, or one that accepts and says nothing, is given up after. */
const SILENCE_MAX_MS = 15_000;
/** As long as a server says itself that it is recovering, it is waited for. */
const RECOVERY_MAX_MS = 300_000;
const POLL_MS = 50;
const LOG_CHECK_MS = 60_000;

const CANNOT_CONNECT_NOW = '57P03';
const TOO_MANY_CONNECTIONS = '53300';
const REFUSED_LOGIN = ['28P01', '28000'];

interface EmbeddedPostgresOptions {
  /** Created when missing. */
  readonly dataDir: string;
  /** Told what takes long: creating, starting, waiting, stopping. */
  readonly onProgress: (message: string) => void;
}

export interface EmbeddedPostgres {
  /** Database `hedonify`, as a superuser, over a unix socket; holds the password. */
  readonly databaseUrl: string;
  /** The postmaster's. */
  readonly pid: number;
  /** Stops the server unless another live process, or another handle of this one, uses it. */
  release(): Promise<void>;
}

interface Address {
  readonly postmaster: Postmaster;
  readonly password: string;
}

function urlOf({ postmaster, password }: Address, database: string): string {
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
    if (!(await isRunning(cluster, address.postmaster))) return 'dead';
    const waitedMax = answer === 'recovering' ? RECOVERY_MAX_MS : SILENCE_MAX_MS;
    if (performance.now() - start > waitedMax) return 'silent';
    await delay(POLL_MS);
  }
}

async function adoptOrStart(
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
  return { postmaster: await startServer(cluster), password };
}

async function createDatabase(address: Address): Promise<void> {
  const client = await connect(urlOf(address, MAINTENANCE_DATABASE));
  try {
    const found = await client.query('SELECT FROM pg_database WHERE datname = $1', [DATABASE]);
    if (found.rowCount === 0) await client.query(`CREATE DATABASE ${DATABASE}`);
  } finally {
    await client.end();
  }
}

/**
 * Creates, starts or adopts the cluster of a data directory and registers as its user.
 * @throws Error fit for an operator: no binaries for this platform, no permission, initdb's output
 */
export async function acquireEmbeddedPostgres({
  dataDir,
  onProgress,
}: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const cluster = await openCluster(dataDir);
  const awaitTurn = () =>
    takeTurn(cluster.dataDir, () => {
      onProgress('waiting for another process that is starting or stopping PostgreSQL');
    });

  const turn = await awaitTurn();
  try {
    await createCluster(cluster, () => {
      onProgress(`creating a PostgreSQL cluster in ${cluster.directory}`);
    });
    const address = await adoptOrStart(cluster, onProgress);
    const user = registerUser(cluster.dataDir);
    const leave = async (): Promise<void> => {
      user.release();
      if (hasUsers(cluster.dataDir)) return;
      onProgress('stopping PostgreSQL');
      await stopServer(cluster);
    };
    try {
      await createDatabase(address);
    } catch (error) {
      await leave();
      throw error;
    }
    const logCheck = setInterval(() => {
      // A log that cannot be moved aside is no reason to disturb a sale.
      boundLog(cluster).catch(() => undefined);
    }, LOG_CHECK_MS);
    logCheck.unref();

    const release = async (): Promise<void> => {
      clearInterval(logCheck);
      const lastTurn = await awaitTurn();
      try {
        await leave();
      } finally {
        lastTurn.release();
      }
    };
    let released: Promise<void> | undefined;
    return {
      databaseUrl: urlOf(address, DATABASE),
      pid: address.postmaster.pid,
      release: () => (released ??= release()),
    };
  } finally {
    turn.release();
  }
}
