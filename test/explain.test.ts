import { expect, test } from 'vitest';
import { explain } from '../src/explain.ts';

test('an error is explained by its message and those of its causes', () => {
  const cause = new Error('connect ENOENT /run/postgres');
  expect(explain(new Error('could not connect', { cause }))).toBe(
    'could not connect: connect ENOENT /run/postgres',
  );
});

test('a refusal by every address of a name is explained by each', () => {
  const refused = new AggregateError([new Error('::1 refused'), new Error('127.0.0.1 refused')]);
  expect(explain(refused)).toBe('::1 refused, 127.0.0.1 refused');
});

test('a circle of causes ends', () => {
  const error = new Error('round');
  error.cause = error;
  expect(explain(error)).toBe('round: round: round: round: round');
});

test('something that is no error is shown as text', () => {
  expect(explain('why not')).toBe('why not');
});
