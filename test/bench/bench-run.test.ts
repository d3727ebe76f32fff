import { existsSync } from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import { openRun } from '../../bench/bench-run.ts';
import { compileSlowFsync } from '../../bench/slow-fsync.ts';

const PATH = process.env['PATH'];

afterEach(() => {
  process.env['PATH'] = PATH;
});

async function open() {
  const said: string[] = [];
  const say = (line: string) => said.push(line);
  return { said, ...(await openRun({ rounds: 1, seconds: 1, parameter: '', say })) };
}

describe('a run of a benchmark', () => {
  test('it cleans up the last thing first, also past one that fails, and leaves no files', async () => {
    const { run, said, ...opened } = await open();
    const cleaned: string[] = [];
    run.atEnd(async () => void cleaned.push('first'));
    run.atEnd(() => Promise.reject(new Error('it is stuck')));
    run.atEnd(async () => void cleaned.push('last'));
    expect(existsSync(run.workDir)).toBe(true);
    await opened.close();
    expect(cleaned).toEqual(['last', 'first']);
    expect(said).toEqual(['could not clean up: it is stuck']);
    expect(existsSync(run.workDir)).toBe(false);
  });

  test('a suite that was interrupted starts nothing behind the cleaning', async () => {
    const { run, ...opened } = await open();
    await opened.close();
    await expect(run.startTarget({ file: './targets/echo.ts' })).rejects.toThrow('run is over');
    await expect(run.startCluster()).rejects.toThrow('run is over');
  });

  test('without a C compiler it says how to get one', async () => {
    const { run, ...opened } = await open();
    process.env['PATH'] = run.workDir;
    await expect(compileSlowFsync(run.workDir)).rejects.toThrow('apt-get install gcc');
    await opened.close();
  });
});
