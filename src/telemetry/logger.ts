/**
 * One pino logger per thread. The message is a constant sentence and every fact is a field, so
 * that a log can be searched by either; an error goes under `err`.
 */
import pino from 'pino';

export interface LoggerOptions {
  readonly level: pino.LevelWithSilent;
  /** Facts of the whole thread, such as its shard. */
  readonly base?: Readonly<Record<string, string | number>>;
  /** Default: standard output, written synchronously so that the last line before a crash is there. */
  readonly destination?: pino.DestinationStream;
}

/** Never a reason to be in a log; censored in a line's own fields and one level down. */
const SECRET_FIELDS = [
  'authorization',
  'cookie',
  'databaseUrl',
  'idempotencyKey',
  'jwtSecret',
  'password',
  'passwordHash',
  'secret',
  'token',
];

const SECRET_HEADERS = ['authorization', 'cookie', 'idempotency-key', 'set-cookie'];

export function createLogger(options: LoggerOptions): pino.Logger {
  return pino(
    {
      level: options.level,
      base: { service: 'hedonify', ...options.base },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: [
        ...SECRET_FIELDS.flatMap((field) => [field, `*.${field}`]),
        ...SECRET_HEADERS.map((name) => `*.headers["${name}"]`),
      ],
    },
    options.destination ?? pino.destination({ fd: 1, sync: true }),
  );
}
