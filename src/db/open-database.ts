/**
 * Which database a command works on: the same choice as the server's, from the same configuration,
 * so that `npm run audit` beside `npm start` looks at what the server writes.
 */
import { acquireEmbeddedPostgres } from './embedded-postgres.ts';

export interface OpenDatabase {
  /** May hold a password: never printed. */
  readonly databaseUrl: string;
  /** To be called once, after every connection is closed; stops what nobody else uses. */
  readonly release: () => Promise<void>;
}

/**
 * With a database URL nothing is started; without one the embedded PostgreSQL is, if need be, and
 * it is started again whenever it ends before `release`: `onOutage` is told how that goes.
 */
export async function openDatabase(
  config: { readonly databaseUrl: string | null; readonly dataDir: string },
  onProgress: (message: string) => void,
  onOutage = onProgress,
): Promise<OpenDatabase> {
  if (config.databaseUrl !== null) {
    return { databaseUrl: config.databaseUrl, release: () => Promise.resolve() };
  }
  const { dataDir } = config;
  const embedded = await acquireEmbeddedPostgres({ dataDir, onProgress, onOutage });
  return { databaseUrl: embedded.databaseUrl, release: () => embedded.release() };
}
