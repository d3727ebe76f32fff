/**
 * Connections that fall silent: a cut cable, a stopped backend, a machine without power. Nothing
 * tells the client, so time has to.
 */
import type pg from 'pg';

/** For the polite end of a connection. */
const END_MS_MAX = 500;

/**
 * Runs `work` on a connection that answers or is destroyed: `msMax` after the start whatever is under
 * way on it (connecting included) rejects with ETIMEDOUT, and the connection is of no more use.
 * The server may still do what it was asked to.
 */
export async function withinTime<T>(
  client: pg.Client,
  msMax: number,
  work: () => Promise<T>,
): Promise<T> {
  const timer = setTimeout(() => {
    const silence = new Error(`PostgreSQL has not answered for ${Math.ceil(msMax)} ms`);
    client.connection.stream.destroy(Object.assign(silence, { code: 'ETIMEDOUT' }));
  }, msMax);
  try {
    return await work();
  } finally {
    clearTimeout(timer);
  }
}

/** Disconnects, and fails a query under way. Never rejects nor hangs. */
export async function endClient(client: pg.Client): Promise<void> {
  await withinTime(client, END_MS_MAX, () => client.end());
}

/** Disconnects without a word, and fails a query under way. */
export function cutClient(client: pg.Client): void {
  client.connection.stream.destroy();
}
