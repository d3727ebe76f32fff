/**
 * A PostgreSQL of our own for machines that have none: one cluster in DATA_DIR, shared by every
 * process that names the same directory (server, audit, tests).
 *
 * The server outlives a `kill -9` of the process that started it, on purpose: the next process
 * adopts it and nothing has to recover. It stops when its last user releases it. Whoever starts,
 * adopts or stops it does so in its turn, and never stops one that a live process uses
 * (embedded-users.ts). A server that ended while it is in use, whoever ended it, is restarted at
 * once by whoever uses it (embedded-watch.ts): address and password stay the same.
 *
 * There is never a second server on one cluster, not even where the first one cannot be seen
 * (embedded-presence.ts).
 */
import { boundLog, createCluster, openCluster, stopServer } from './embedded-cluster.ts';
import type { Cluster, Postmaster } from './embedded-cluster.ts';
import { isPresent } from './embedded-presence.ts';
import { isServerProcess } from './embedded-processes.ts';
import { adoptOrStart, createDatabase, EMBEDDED_DATABASE, urlOf } from './embedded-server.ts';
import type { Address } from './embedded-server.ts';
import { hasUsers, registerUser, takeTurn } from './embedded-users.ts';
import type { Lock } from './embedded-users.ts';
import { watch } from './embedded-watch.ts';

const LOG_CHECK_MS = 60_000;

type Progress = (message: string) => void;

interface EmbeddedPostgresOptions {
  /** Created when missing. */
  readonly dataDir: string;
  /** Told what takes long: creating, starting, waiting, stopping. */
  readonly onProgress: Progress;
  /** Told when a server in use has ended, and how restarting it goes. `onProgress` by default. */
  readonly onOutage?: Progress;
}

export interface EmbeddedPostgres {
  /** Database `hedonify`, as a superuser, over a unix socket; holds the password. */
  readonly databaseUrl: string;
  /** The postmaster's; another one after every restart. */
  readonly pid: number;
  /**
   * Stops the server unless another live process, or another handle of this one, uses it. Waits
   * for a restart under way; none follows.
   */
  release(): Promise<void>;
}

/**
 * Creates, starts or adopts the cluster of a data directory and registers as its user.
 * @throws Error fit for an operator: no binaries for this platform, no permission, initdb's output
 */
export async function acquireEmbeddedPostgres({
  dataDir,
  onProgress,
  onOutage = onProgress,
}: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const cluster = await openCluster(dataDir);
  return await inTurn(cluster, onProgress, async () => {
    await createCluster(cluster, () => {
      onProgress(`creating a PostgreSQL cluster in ${cluster.directory}`);
    });
    const address = await adoptOrStart(cluster, onProgress);
    const user = registerUser(cluster.dataDir);
    try {
      await createDatabase(address);
      return use({
        cluster,
        user,
        address,
        server: look(cluster, address.postmaster),
        onProgress,
        onOutage,
      });
    } catch (error) {
      await leave(cluster, user, onProgress);
      throw error;
    }
  });
}

/** Nobody else starts or stops the server while `act` runs. */
async function inTurn<T>(
  cluster: Cluster,
  onProgress: Progress,
  act: () => Promise<T>,
): Promise<T> {
  const turn = await takeTurn(cluster.dataDir, () => {
    onProgress('waiting for another process that is starting or stopping PostgreSQL');
  });
  try {
    return await act();
  } finally {
    turn.release();
  }
}

/** Unregisters, and stops a server that nobody else uses. Only in one's turn. */
async function leave(cluster: Cluster, user: Lock, onProgress: Progress): Promise<void> {
  user.release();
  if (hasUsers(cluster.dataDir)) return;
  onProgress('stopping PostgreSQL');
  await stopServer(cluster);
}

/** A server in use, and how to see whether it lives. */
interface ServerInUse extends Postmaster {
  readonly isAlive: () => boolean | Promise<boolean>;
}

function look(cluster: Cluster, postmaster: Postmaster): ServerInUse {
  const sees = () => isServerProcess(cluster, postmaster.pid);
  // One that answers and cannot be seen runs in a container that shares the socket with ours.
  const isSeen = sees();
  return { ...postmaster, isAlive: isSeen ? sees : () => isPresent(cluster.dataDir) };
}

interface Use {
  readonly cluster: Cluster;
  readonly user: Lock;
  readonly address: Address;
  readonly server: ServerInUse;
  readonly onProgress: Progress;
  readonly onOutage: Progress;
}

/** The handle of a registered user, who watches over the server until it is released. */
function use({ cluster, user, address, server, onProgress, onOutage }: Use): EmbeddedPostgres {
  let current = server;
  const watching = watch({
    isAlive: () => current.isAlive(),
    restore: async (stopping) => {
      const noticed = performance.now();
      onOutage(`PostgreSQL (pid ${current.pid}) has ended although it is in use`);
      await inTurn(cluster, onOutage, async () => {
        if (stopping.aborted) return;
        current = await restore(cluster, current, onOutage);
        const ms = Math.round(performance.now() - noticed);
        onOutage(`PostgreSQL is back after ${ms} ms (pid ${current.pid})`);
      });
    },
    onFailure: (error) => {
      const reason = error instanceof Error ? error.message : String(error);
      onOutage(`PostgreSQL could not be restarted and is tried again: ${reason}`);
    },
  });
  const logCheck = setInterval(() => {
    // A log that cannot be moved aside is no reason to disturb a sale.
    boundLog(cluster).catch(() => undefined);
  }, LOG_CHECK_MS);
  logCheck.unref();

  const release = async (): Promise<void> => {
    clearInterval(logCheck);
    await watching.stop();
    await inTurn(cluster, onProgress, () => leave(cluster, user, onProgress));
  };
  let released: Promise<void> | undefined;
  return {
    databaseUrl: urlOf(address, EMBEDDED_DATABASE),
    get pid() {
      return current.pid;
    },
    release: () => (released ??= release()),
  };
}

/** Of several who use a server that ended, the second finds it running. Only in one's turn. */
async function restore(
  cluster: Cluster,
  lost: Postmaster,
  onOutage: Progress,
): Promise<ServerInUse> {
  const { postmaster } = await adoptOrStart(cluster, onOutage);
  if (postmaster.socketDir !== lost.socketDir) {
    throw new Error(
      `somebody started it (pid ${postmaster.pid}) to listen in ${postmaster.socketDir} instead ` +
        `of ${lost.socketDir}, where its users look for it: stop that one`,
    );
  }
  return look(cluster, postmaster);
}
