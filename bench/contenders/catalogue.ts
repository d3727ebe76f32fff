import { conditionalUpdate } from './conditional-update.ts';
import type { Contender } from './contender.ts';
import { redisLua } from './redis-lua.ts';
import { rowLock } from './row-lock.ts';
import { skipLocked } from './skip-locked.ts';
import { tickBatches } from './tick-batches.ts';

/** In the order of the reports. */
export const CONTENDERS: readonly Contender[] = [
  conditionalUpdate,
  skipLocked,
  rowLock,
  tickBatches,
  redisLua,
];
