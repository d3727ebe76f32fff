/**
 * `npm run user -- grant EMAIL ROLE`: gives a registered user a role; how the first admin is made.
 * Imported by nobody. Exit code 0 = done, 1 = no such user, 2 = wrong usage or it could not run.
 */
import { loadDatabaseConfig } from './config.ts';
import { grantRole } from './db/account-store.ts';
import { openDatabase } from './db/open-database.ts';
import { createPool } from './db/pool.ts';
import { ROLES } from './domain/user.ts';
import type { Role, User } from './domain/user.ts';
import { explain } from './explain.ts';

const DONE = 0;
const NO_SUCH_USER = 1;
const COULD_NOT_RUN = 2;
const STATEMENT_TIMEOUT_MS = 10_000;
const USAGE = `usage: npm run user -- grant EMAIL ROLE\n  ROLE is one of ${ROLES.join(', ')}`;

interface Grant {
  readonly email: string;
  readonly role: Role;
}

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  const grant = parseGrant(args);
  if (typeof grant === 'string') {
    say(grant);
    return COULD_NOT_RUN;
  }
  try {
    const user = await run(grant);
    if (user === undefined) {
      say(`nobody is registered with the email address ${grant.email}`);
      return NO_SUCH_USER;
    }
    process.stdout.write(
      `${user.email} is ${user.role} now; it takes effect at the next login, or when the ` +
        'current access token expires\n',
    );
    return DONE;
  } catch (error) {
    say(`could not run: ${explain(error)}`);
    return COULD_NOT_RUN;
  }
}

/** What to do, or what is wrong with the arguments. */
function parseGrant(args: readonly string[]): Grant | string {
  const [command, email, name] = args;
  if (command !== 'grant' || email === undefined || name === undefined || args.length > 3) {
    return USAGE;
  }
  const role = ROLES.find((known) => known === name);
  return role === undefined ? `unknown role ${JSON.stringify(name)}\n${USAGE}` : { email, role };
}

async function run(grant: Grant): Promise<User | undefined> {
  const database = await openDatabase(loadDatabaseConfig(), say);
  try {
    const pool = createPool({
      databaseUrl: database.databaseUrl,
      max: 1,
      statementTimeoutMs: STATEMENT_TIMEOUT_MS,
      applicationName: 'hedonify-user',
      // The query under way reports it; an idle connection lost here hurts nobody.
      onError: () => undefined,
    });
    try {
      return await grantRole(pool, grant);
    } finally {
      await pool.end();
    }
  } finally {
    await database.release();
  }
}

function say(message: string): void {
  process.stderr.write(`user: ${message}\n`);
}
