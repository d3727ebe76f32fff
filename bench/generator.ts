/** Load generators are processes of their own: none is at work past its time, or past the run. */
import type { ChildProcess } from 'node:child_process';

/** Beyond the seconds of a load: to start, to wait for the last answers, to write them down. */
const EXTRA_SECONDS = 30;

const atWork = new Set<ChildProcess>();

process.once('exit', killGenerators);

/** Kills it `EXTRA_SECONDS` after the load should be over; whoever waits for it sees it fail. */
export function bounded<T extends ChildProcess>(generator: T, seconds: number): T {
  atWork.add(generator);
  const late = setTimeout(() => generator.kill('SIGKILL'), (seconds + EXTRA_SECONDS) * 1000);
  const over = () => {
    clearTimeout(late);
    atWork.delete(generator);
  };
  generator.once('exit', over);
  // It did not start.
  generator.once('error', over);
  return generator;
}

/** At the end of a run: an interrupted suite may be in the middle of a load. */
export function killGenerators(): void {
  for (const generator of atWork) generator.kill('SIGKILL');
}
