import pg from 'pg';
import { describe, expect, test } from 'vitest';
import { errorPolicy, isPassing, toAppError } from '../../src/db/db-error.ts';
import { AppError } from '../../src/domain/errors.ts';

function databaseError(sqlstate: string, severity = 'ERROR'): Error {
  const error = new pg.DatabaseError('planted', 7, 'error');
  error.code = sqlstate;
  error.severity = severity;
  return error;
}

function nodeError(code: string): Error {
  return Object.assign(new Error(`connect ${code}`), { code, syscall: 'connect' });
}

const POLICIES = [
  ['a refused connection', nodeError('ECONNREFUSED'), 'unavailable'],
  ['a connection that was reset', nodeError('ECONNRESET'), 'unavailable'],
  ['a missing socket', nodeError('ENOENT'), 'unavailable'],
  ['a broken pipe, which looks like an SQLSTATE', nodeError('EPIPE'), 'unavailable'],
  [
    'several refused addresses',
    Object.assign(new AggregateError([]), nodeError('ECONNREFUSED')),
    'unavailable',
  ],
  ['a connection that ended', new Error('Connection terminated unexpectedly'), 'unavailable'],
  [
    'a pool without a free connection',
    new Error('timeout exceeded when trying to connect'),
    'unavailable',
  ],
  ['a server that does not answer', new Error('Query read timeout'), 'unavailable'],
  ['a lost connection (08006)', databaseError('08006'), 'unavailable'],
  ['too many connections (53300)', databaseError('53300'), 'unavailable'],
  ['a full disk (53100)', databaseError('53100'), 'unavailable'],
  ['a statement timeout (57014)', databaseError('57014'), 'unavailable'],
  ['an admin shutdown (57P01)', databaseError('57P01'), 'unavailable'],
  ['a crash (57P02)', databaseError('57P02'), 'unavailable'],
  ['a recovering server (57P03)', databaseError('57P03'), 'unavailable'],
  ['a lock that was not to be had in time (55P03)', databaseError('55P03'), 'unavailable'],
  ['a standby (25006)', databaseError('25006'), 'unavailable'],
  ['an I/O error below PostgreSQL (58030)', databaseError('58030'), 'unavailable'],
  ['a session that the server ended (FATAL 57P01)', databaseError('57P01', 'FATAL'), 'unavailable'],
  ['a server that starts (FATAL 57P03)', databaseError('57P03', 'FATAL'), 'unavailable'],
  ['a server without room (FATAL 53300)', databaseError('53300', 'FATAL'), 'unavailable'],
  ['no free port', nodeError('EADDRNOTAVAIL'), 'unavailable'],
  ['silence', nodeError('ETIMEDOUT'), 'unavailable'],
  ['a serialization failure (40001)', databaseError('40001'), 'retry'],
  ['a deadlock (40P01)', databaseError('40P01'), 'retry'],
  ['another rollback of its class (40002)', databaseError('40002'), 'fail'],
  ['a violated check (23514)', databaseError('23514'), 'fail'],
  ['a wrong password (28P01)', databaseError('28P01', 'FATAL'), 'fail'],
  ['a missing table (42P01)', databaseError('42P01'), 'fail'],
  ['a defect of ours', new TypeError('x is not a function'), 'fail'],
  ['something that is no error', 'ECONNREFUSED', 'fail'],
] as const;

describe('the policy table', () => {
  test.each(POLICIES)('%s: %3$s', (_what, error, policy) => {
    expect(errorPolicy(error)).toBe(policy);
  });
});

describe('isPassing', () => {
  test.each(POLICIES)('%s: unless it is a defect a later try can cure it', (_w, error, policy) => {
    expect(isPassing(error)).toBe(policy !== 'fail');
  });
});

describe('toAppError', () => {
  test.each(POLICIES)(
    '%s keeps what happened as the cause, or passes through',
    (_w, error, policy) => {
      const thrown = toAppError(error);
      if (policy === 'fail') {
        expect(thrown).toBe(error);
      } else {
        expect(thrown).toBeInstanceOf(AppError);
        expect(thrown).toMatchObject({
          code: 'database-unavailable',
          retryable: true,
          cause: error,
        });
      }
    },
  );
});
