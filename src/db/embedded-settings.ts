/** The postgresql.conf of an embedded cluster, whole: what is not here has PostgreSQL's default. */
import { release } from 'node:os';

/** Names the socket file, `.s.PGSQL.5432`; nothing listens on a TCP port. */
export const SOCKET_PORT = 5432;

interface EmbeddedSettings {
  /** Without quotes, backslashes or commas: PostgreSQL reads a list. */
  readonly socketDir: string;
}

/**
 * How a server that recovers makes durable what its predecessor wrote without fsync. File by file
 * is the default, and took 1.3-3.8 s for the 1,300 files of a small cluster on a busy machine, all
 * of it outage; one call for the whole file system took 15-55 ms (medians of interleaved rounds:
 * 2,355 and 31 ms). Before Linux 5.8 that call kept failures to itself, and only Linux has it.
 */
function recoverySync(): 'fsync' | 'syncfs' {
  const [major = 0, minor = 0] = release().split('.').map(Number);
  const tellsFailures = major > 5 || (major === 5 && minor >= 8);
  return process.platform === 'linux' && tellsFailures ? 'syncfs' : 'fsync';
}

/** Text of postgresql.conf. */
export function embeddedSettings({ socketDir }: EmbeddedSettings): string {
  return `# Written by Hedonify at every start; change a setting with ALTER SYSTEM instead.

# A unix socket only: no port to collide with, nothing to reach from another machine.
listen_addresses = ''
port = ${SOCKET_PORT}
unix_socket_directories = '${socketDir}'
unix_socket_permissions = 0700
password_encryption = 'scram-sha-256'

# Durable answers (I2): said aloud so that nobody takes them for an oversight. The commit
# connections refuse to work without them.
fsync = on
synchronous_commit = on
full_page_writes = on

# Commit sessions and read pool (config.ts allows 280), takeover, audit, a person with psql.
max_connections = 300
# Holds the hot part of every index of a few million orders, and fits on a 2 GB machine.
shared_buffers = 256MB

# Nothing replicates from an embedded cluster, so WAL carries only what crash recovery needs.
wal_level = minimal
max_wal_senders = 0
# Batches are bursts of up to 1,000 orders: a commit must not wait for a free WAL page.
wal_buffers = 16MB
# A checkpoint is followed by a storm of page images, and at 17,000 orders/s the default 1 GB forces
# one every minute; 4 GB force one every two to three. Recycled segments spare the commits their
# creation.
max_wal_size = 4GB
min_wal_size = 1GB
# Crash recovery replays some 200,000 orders or 120 MB a second, and at most 1.9 of these intervals:
# about 1 s at 1,000 orders/s, where the default of 5 minutes would make it 3.
checkpoint_timeout = 2min
checkpoint_completion_target = 0.9
recovery_init_sync_method = '${recoverySync()}'

# No statement here is long enough to earn back the compilation.
jit = off
# The files sit on a solid-state disk or in the page cache.
random_page_cost = 1.1

timezone = 'UTC'
lc_messages = 'C'
# Into the file that pg_ctl opened, which Hedonify bounds. DETAIL would carry personal data.
logging_collector = off
log_line_prefix = '%m [%p] %a '
log_timezone = 'UTC'
log_error_verbosity = terse
`;
}

/** The socket directory that a text of `embeddedSettings` names. */
export function socketDirIn(settings: string): string | undefined {
  return /^unix_socket_directories = '([^']+)'$/m.exec(settings)?.[1];
}
