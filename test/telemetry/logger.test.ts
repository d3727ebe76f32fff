import { describe, expect, test } from 'vitest';
import { createLogger } from '../../src/telemetry/logger.ts';

function capture(log: (logger: ReturnType<typeof createLogger>) => void): unknown[] {
  const lines: string[] = [];
  log(
    createLogger({
      level: 'info',
      base: { shard: 3 },
      destination: { write: (line) => lines.push(line) },
    }),
  );
  return lines.map((line) => JSON.parse(line) as unknown);
}

describe('the logger', () => {
  test('writes one line with the base facts, the level by name, the time and the fields', () => {
    expect(capture((logger) => logger.warn({ batch: 7 }, 'batch resent'))).toEqual([
      {
        level: 'warn',
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
        service: 'hedonify',
        shard: 3,
        batch: 7,
        msg: 'batch resent',
      },
    ]);
  });

  test('writes an error under err with its stack and cause', () => {
    const err = new Error('commit failed', { cause: new Error('connection lost') });
    const [line] = capture((logger) => logger.error({ err }, 'batch aborted'));
    expect(line).toMatchObject({
      err: { type: 'Error', message: expect.stringContaining('connection lost') },
    });
  });

  test('writes nothing below its level', () => {
    expect(capture((logger) => logger.debug('batch committed'))).toEqual([]);
  });

  test('censors secrets wherever a field of that name stands', () => {
    const secret = 'hush';
    const lines = capture((logger) => {
      logger.info({ token: secret, password: secret, authorization: secret }, 'top');
      logger.info({ body: { token: secret, passwordHash: secret } }, 'one down');
      logger.info({ config: { jwtSecret: secret, databaseUrl: secret } }, 'configuration');
      const headers = { authorization: secret, cookie: secret, 'idempotency-key': secret };
      logger.info({ req: { headers: { ...headers, host: 'shop' } } }, 'request');
      logger.info({ idempotencyKey: secret, res: { headers: { 'set-cookie': secret } } }, 'keys');
      logger.child({ secret }).info('bound');
    });
    expect(lines).toHaveLength(6);
    expect(JSON.stringify(lines)).not.toContain(secret);
    expect(lines[3]).toMatchObject({ req: { headers: { host: 'shop' } } });
  });
});
