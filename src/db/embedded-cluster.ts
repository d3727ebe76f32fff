/**
 * The files of one embedded cluster, and its server's start and stop.
 *
 * Decides nothing about who may do so: every function that changes something is called only in
 * one's turn (embedded-users.ts). Connects to nothing: embedded-server.ts asks whether it answers.
 */
import { createHash, randomBytes } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { chooseAccount, findBinaries, runAs } from './embedded-account.ts';
import type { Binaries, RunResult, ServerAccount } from './embedded-account.ts';
import { openPresence } from './embedded-presence.ts';
import { awaitLastProcess, isServerProcess, serverProcesses } from './embedded-processes.ts';
import { embeddedSettings, SOCKET_PORT, socketDirIn } from './embedded-settings.ts';

/** The superuser of an embedded cluster. */
export const EMBEDDED_USER = 'hedonify';
/** postgres.log becomes postgres.log.1 at this size, so both together stay below twice of it. */
const LOG_BYTES_MAX = 16 * 1024 * 1024;
const LOG_TAIL_BYTES = 4_096;
/** Crash recovery replays up to max_wal_size of WAL. */
const START_WAIT_SECONDS = 300;
const STOP_FAST_WAIT_SECONDS = 60;
const STOP_IMMEDIATE_WAIT_SECONDS = 30;
const INIT_PREFIX = 'postgres.init-';
/** sun_path holds 104 bytes on macOS, 108 on Linux; the socket's name and `.lock` need 19. */
const SOCKET_DIR_BYTES_MAX = 80;

export interface Cluster {
  /** Absolute and free of symbolic links. */
  readonly dataDir: string;
  readonly directory: string;
  readonly passwordFile: string;
  readonly logFile: string;
  readonly binaries: Binaries;
  readonly account: ServerAccount;
}

/** What postmaster.pid says; the process need not be alive. */
export interface Postmaster {
  readonly pid: number;
  readonly socketDir: string;
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}

/** Finds binaries and account, and creates `dataDir` when it is missing. */
export async function openCluster(dataDirGiven: string): Promise<Cluster> {
  const binaries = await findBinaries();
  try {
    await fs.mkdir(dataDirGiven, { recursive: true });
  } catch (error) {
    throw new Error(`cannot create the data directory ${resolve(dataDirGiven)}`, { cause: error });
  }
  const dataDir = await fs.realpath(dataDirGiven);
  const directory = join(dataDir, 'postgres');
  return {
    dataDir,
    directory,
    passwordFile: join(dataDir, 'postgres-password'),
    logFile: join(dataDir, 'postgres.log'),
    binaries,
    account: await chooseAccount({ dataDir, clusterDir: directory, binaries }),
  };
}

async function give(cluster: Cluster, path: string): Promise<void> {
  if (cluster.account !== null) await fs.chown(path, cluster.account.uid, cluster.account.gid);
}

/** Replaces a file so that after a crash it is the old or the new one, never a part. */
async function writeWhole(cluster: Cluster, path: string, text: string): Promise<void> {
  const temporary = `${path}.new`;
  await fs.writeFile(temporary, text, { mode: 0o600, flush: true });
  await give(cluster, temporary);
  await fs.rename(temporary, path);
}

/** @throws Error when the file is missing although the cluster exists */
export async function readPassword(cluster: Cluster): Promise<string> {
  try {
    return (await fs.readFile(cluster.passwordFile, 'utf8')).trim();
  } catch (error) {
    throw new Error(`cannot read the password of ${cluster.directory}: ${cluster.passwordFile}`, {
      cause: error,
    });
  }
}

async function removeLeftovers(cluster: Cluster): Promise<void> {
  for (const name of await fs.readdir(cluster.dataDir)) {
    if (!name.startsWith(INIT_PREFIX)) continue;
    // An orphaned initdb may still be writing there: what it leaves goes at the next start.
    await fs
      .rm(join(cluster.dataDir, name), { recursive: true, maxRetries: 3 })
      .catch(() => undefined);
  }
}

/**
 * Creates the cluster unless it exists. initdb works in a directory of another name, and only a
 * complete cluster is renamed to its own: whatever is found there can be trusted.
 */
export async function createCluster(cluster: Cluster, onCreate: () => void): Promise<void> {
  await removeLeftovers(cluster);
  const existing = await fs.stat(join(cluster.directory, 'PG_VERSION')).catch((error: unknown) => {
    if (isMissing(error)) return undefined;
    throw new Error(`cannot read ${cluster.directory}: was it made by another user?`, {
      cause: error,
    });
  });
  if (existing !== undefined) return;
  onCreate();
  // A password from an interrupted start fits no cluster yet, hence any cluster.
  await writeWhole(cluster, cluster.passwordFile, `${randomBytes(24).toString('base64url')}\n`);
  const unfinished = await fs.mkdtemp(join(cluster.dataDir, INIT_PREFIX));
  await give(cluster, unfinished);
  const { code, output } = await runAs(cluster.account, {
    program: cluster.binaries.initdb,
    args: [
      `--pgdata=${unfinished}`,
      `--username=${EMBEDDED_USER}`,
      `--pwfile=${cluster.passwordFile}`,
      '--auth=scram-sha-256',
      '--encoding=UTF8',
      // Byte order, so indexes do not depend on the machine's libc, yet lower() knows all letters.
      '--locale=C',
      '--locale-provider=builtin',
      '--builtin-locale=C.UTF-8',
    ],
  });
  if (code !== 0) {
    throw new Error(
      `initdb could not create a PostgreSQL cluster in ${cluster.dataDir} (code ${code}).\n${output}`,
    );
  }
  try {
    // Succeeds over an empty directory, fails over any other: nobody's files are overwritten.
    await fs.rename(unfinished, cluster.directory);
  } catch (error) {
    throw new Error(`${cluster.directory} is in the way: it is not a PostgreSQL cluster`, {
      cause: error,
    });
  }
  // The name must be as durable as what it names: a commit is answered for from here on.
  await using parent = await fs.open(cluster.dataDir);
  await parent.sync();
}

/** Undefined when there is none, which proves that no server was started and not stopped. */
export async function readPostmaster(cluster: Cluster): Promise<Postmaster | undefined> {
  try {
    const lines = (await fs.readFile(join(cluster.directory, 'postmaster.pid'), 'utf8')).split(
      '\n',
    );
    return { pid: Number(lines[0]), socketDir: lines[4] ?? '' };
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/**
 * After the death of a whole server: removes its lock files. PostgreSQL would not doubt them while
 * their pid exists, as somebody else's process or as a zombie.
 */
async function clearRemains(cluster: Cluster, socketDir: string): Promise<void> {
  await awaitLastProcess(cluster);
  // A server that was started by hand has no FIFO, and this machine cannot list processes.
  if (serverProcesses(cluster) === undefined) return;
  await fs.rm(join(cluster.directory, 'postmaster.pid'), { force: true });
  const socket = join(socketDir, `.s.PGSQL.${SOCKET_PORT}`);
  for (const file of [socket, `${socket}.lock`]) await fs.rm(file, { force: true });
}

/** Moves a log that has grown too large aside, without a word to the server that appends to it. */
export async function boundLog(cluster: Cluster): Promise<void> {
  const { size } = await fs.stat(cluster.logFile);
  if (size < LOG_BYTES_MAX) return;
  await fs.copyFile(cluster.logFile, `${cluster.logFile}.1`);
  await fs.truncate(cluster.logFile);
}

function settingsFile(cluster: Cluster): string {
  return join(cluster.directory, 'postgresql.conf');
}

/** Where the server listened at its last start; undefined before the first. */
export async function lastSocketDir(cluster: Cluster): Promise<string | undefined> {
  // postmaster.pid says it too, but not after a stop.
  return socketDirIn(await fs.readFile(settingsFile(cluster), 'utf8'));
}

/** Short, and the same for a cluster at every start under one TMPDIR. */
async function chooseSocketDir(cluster: Cluster): Promise<string> {
  const name = `hedonify-${createHash('sha256').update(cluster.dataDir).digest('hex').slice(0, 16)}`;
  const parent = await fs.realpath(tmpdir());
  // PostgreSQL reads a list of quoted names here: a plain one needs no quoting.
  const plain = /^[\w./-]+$/.test(parent) && parent.length + name.length < SOCKET_DIR_BYTES_MAX;
  return join(plain ? parent : '/tmp', name);
}

async function makeSocketDir(cluster: Cluster, directory: string): Promise<void> {
  await fs
    .mkdir(directory, { mode: 0o700 })
    .then(() => give(cluster, directory))
    .catch((error: unknown) => {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    });
  const found = await fs.lstat(directory);
  const uid = cluster.account?.uid ?? process.getuid?.();
  // Anybody may have made it first: a socket in somebody else's directory would take our password.
  if (!found.isDirectory() || (found.mode & 0o077) !== 0 || ![uid, 0].includes(found.uid)) {
    throw new Error(`${directory} belongs to somebody else: remove it, or set TMPDIR`);
  }
  await give(cluster, directory);
}

async function logTail(cluster: Cluster, from: number): Promise<string> {
  const log = await fs.readFile(cluster.logFile);
  return log
    .subarray(Math.max(from, log.length - LOG_TAIL_BYTES))
    .toString()
    .trim();
}

/**
 * Starts the server in a session of its own, to listen in the given directory or one of its choice.
 * @throws Error when the one before turns out to be alive; nothing of it was touched
 */
export async function startServer(cluster: Cluster, givenDir?: string): Promise<Postmaster> {
  const socketDir = givenDir ?? (await chooseSocketDir(cluster));
  await makeSocketDir(cluster, socketDir);
  await clearRemains(cluster, socketDir);
  await using presence = await openPresence(cluster.dataDir);
  await fs.writeFile(cluster.logFile, '', { flag: 'a', mode: 0o600 });
  await give(cluster, cluster.logFile);
  await boundLog(cluster);
  const logged = (await fs.stat(cluster.logFile)).size;
  const settings = embeddedSettings({ socketDir });
  await writeWhole(cluster, settingsFile(cluster), settings);
  const start = ['start', `--log=${cluster.logFile}`, `--timeout=${START_WAIT_SECONDS}`];
  const { code, output } = await pgCtl(cluster, start, presence.fd);
  const started = await readPostmaster(cluster);
  if (code !== 0 || started === undefined) {
    const log = await logTail(cluster, logged);
    throw new Error(`PostgreSQL could not be started in ${cluster.directory}.\n${output}\n${log}`);
  }
  return started;
}

async function pgCtl(
  cluster: Cluster,
  [verb = '', ...rest]: readonly string[],
  inherited?: number,
): Promise<RunResult> {
  return await runAs(cluster.account, {
    program: cluster.binaries.pgCtl,
    args: [verb, `--pgdata=${cluster.directory}`, '--wait', '--silent', ...rest],
    ...(inherited === undefined ? {} : { inherited }),
  });
}

/** Stops the server, if it runs, and removes its socket directory. */
export async function stopServer(cluster: Cluster): Promise<void> {
  const postmaster = await readPostmaster(cluster);
  if (postmaster === undefined) return;
  if (isServerProcess(cluster, postmaster.pid)) {
    const fast = ['stop', '--mode=fast', `--timeout=${STOP_FAST_WAIT_SECONDS}`];
    // Immediate loses nothing that was committed: the next start replays the WAL.
    const immediate = ['stop', '--mode=immediate', `--timeout=${STOP_IMMEDIATE_WAIT_SECONDS}`];
    const first = await pgCtl(cluster, fast);
    const last = first.code === 0 ? first : await pgCtl(cluster, immediate);
    if (last.code !== 0 && isServerProcess(cluster, postmaster.pid)) {
      throw new Error(`PostgreSQL (pid ${postmaster.pid}) could not be stopped.\n${last.output}`);
    }
  }
  // Only a server that died leaves more than an empty directory, and the next start clears that.
  await fs.rmdir(postmaster.socketDir).catch(() => undefined);
}
