import type { Client } from 'pg';
import { withClient } from '../src/db/client.ts';

/** A connection of the benchmark's own, outside of what is measured. */
export function inDatabase<T>(
  databaseUrl: string,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  return withClient({ databaseUrl, applicationName: 'hedonify-bench' }, work);
}
