/** Of every file: a failed test leaves its server, which would slow all that come after it. */
import { afterAll } from 'vitest';
import { running } from './running-servers.ts';

afterAll(() => {
  for (const child of running) child.kill('SIGKILL');
});
