import { setTimeout as delay } from 'node:timers/promises';

const POLL_MS = 5;
const WAIT_MS_MAX = 8_000;

/** Waits for a condition. @throws Error that names it when it does not come true in time */
export async function until(
  what: string,
  holds: () => Promise<boolean> | boolean,
  waitMsMax: number = WAIT_MS_MAX,
): Promise<void> {
  const deadline = performance.now() + waitMsMax;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`${what} did not happen in time`);
    await delay(POLL_MS);
  }
}
