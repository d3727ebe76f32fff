import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, expect, test, vi } from 'vitest';
import { bounded, killGenerators } from '../../bench/generator.ts';

afterEach(() => {
  vi.useRealTimers();
  killGenerators();
});

test('a load generator that does not end is killed 30 s after its load', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const generator = bounded(spawn('sleep', ['60']), 5);
  const exited = once(generator, 'exit');
  vi.advanceTimersByTime(34_999);
  expect(generator.killed).toBe(false);
  vi.advanceTimersByTime(1);
  expect(await exited).toEqual([null, 'SIGKILL']);
});

test('no load generator outlives its run', async () => {
  const generator = bounded(spawn('sleep', ['60']), 5);
  const exited = once(generator, 'exit');
  killGenerators();
  expect(await exited).toEqual([null, 'SIGKILL']);
});

test('one that is missing is an error, and keeps nothing waiting', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const generator = bounded(spawn('/no/such/generator'), 5);
  await expect(once(generator, 'exit')).rejects.toThrow('ENOENT');
  expect(vi.getTimerCount()).toBe(0);
});
