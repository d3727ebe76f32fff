/** One connection for a command at a terminal or a step of the start; servers use a pool. */
import { Client } from 'pg';
import { COLUMN_TYPES } from './column-types.ts';
import { endClient } from './silence.ts';

const CONNECT_TIMEOUT_MS = 10_000;
/** Idle time after which TCP asks whether the server is still there. */
const KEEP_ALIVE_MS = 10_000;

/** Connected. The caller ends it with `client.end()`, which also fails a query under way. */
export async function connectClient(options: {
  readonly databaseUrl: string;
  /** Shown in pg_stat_activity. */
  readonly applicationName: string;
}): Promise<Client> {
  const client = new Client({
    connectionString: options.databaseUrl,
    application_name: options.applicationName,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    // A takeover in a running process must not wait for ever for a server that is gone.
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
    types: COLUMN_TYPES,
  });
  // A connection that is lost fails the query under way as well; without a listener it would end
  // the process before it could clean up.
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

/** Connects, works, disconnects. */
export async function withClient<T>(
  options: Parameters<typeof connectClient>[0],
  work: (client: Client) => Promise<T>,
): Promise<T> {
  const client = await connectClient(options);
  try {
    return await work(client);
  } finally {
    await endClient(client);
  }
}
