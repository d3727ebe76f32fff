import pg from 'pg';
import { describe, expect, test } from 'vitest';
import { batchFailure } from '../../src/db/batch-failure.ts';
import { NotCommittedError } from '../../src/db/batch-writer.ts';
import type { OwnerId } from '../../src/domain/ids.ts';
import { BatchBuilder } from './batch-builder.ts';

const BATCH = new BatchBuilder(1 as OwnerId).batch({});

function databaseError(code: string, fields: Partial<pg.DatabaseError> = {}): pg.DatabaseError {
  const error = new pg.DatabaseError('planted', 7, 'error');
  return Object.assign(error, { code, severity: 'ERROR', ...fields });
}

const PASSING = [
  ['a deadlock', databaseError('40P01')],
  ['a serialization failure', databaseError('40001')],
  ['a lock that could not be had in time', databaseError('55P03')],
  ['a full disk', databaseError('53100')],
  ['memory that ran out', databaseError('53200')],
  ['a ROLLBACK where COMMIT was sent', new NotCommittedError('ROLLBACK')],
] as const;

const UNKNOWN = [
  ['a cancelled statement, which may have been the COMMIT', databaseError('57014')],
  ['a session that was terminated', databaseError('57P01', { severity: 'FATAL' })],
  ['a server that crashed', databaseError('57P02', { severity: 'FATAL' })],
  ['a transaction that idled for too long', databaseError('25P03', { severity: 'FATAL' })],
  ['a server that panics', databaseError('XX000', { severity: 'PANIC' })],
  ['a connection that was cut', new Error('Connection terminated unexpectedly')],
  ['a socket that was reset', Object.assign(new Error('reset'), { code: 'ECONNRESET' })],
  ['an answer that makes no sense', new NotCommittedError('SELECT 1')],
  ['whatever is no error at all', 'a string'],
] as const;

describe('a batch that failed (I8)', () => {
  test.each(PASSING)('by %s took no effect and may be sent again', (_, error) => {
    expect(batchFailure(error, BATCH)).toEqual({ type: 'passing' });
  });

  test.each(UNKNOWN)('by %s may have committed', (_, error) => {
    expect(batchFailure(error, BATCH)).toBe('unknown');
  });

  test('by a defect that names nothing would fail again', () => {
    const error = databaseError('42P01');
    expect(batchFailure(error, BATCH)).toEqual({ type: 'rejected', id: null });
  });

  test('is blamed alike by a server that speaks another language', () => {
    const id = '20000000-0000-4000-8000-00000000000a';
    const check = databaseError('23514', {
      severity: 'FEHLER',
      detail: `Fehlgeschlagene Zeile enthält (${id}, 5).`,
    });
    expect(batchFailure(check, BATCH)).toEqual({ type: 'rejected', id });
    const fenced = databaseError('HF001', { severity: 'FEHLER', detail: '{3,17}' });
    expect(batchFailure(fenced, BATCH)).toEqual({ type: 'fenced', owners: [3, 17] });
    const terminated = databaseError('57P01', { severity: 'FATAL' });
    expect(batchFailure(terminated, BATCH)).toBe('unknown');
  });
});
