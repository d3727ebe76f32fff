/** Every suite that `npm run bench` knows, in the order of --help. */
import type { Suite } from './suite.ts';
import { suite as contendersSlowDisk } from './suites/contenders-slow-disk.ts';
import { suite as contenders } from './suites/contenders.ts';
import { suite as drop } from './suites/drop.ts';
import { suite as growth } from './suites/growth.ts';
import { suite as guard } from './suites/guard.ts';
import { suite as headline } from './suites/headline.ts';
import { suite as k6, scenarioSuites } from './suites/k6.ts';
import { suite as latency } from './suites/latency.ts';
import { suite as overload } from './suites/overload.ts';
import { suite as recovery } from './suites/recovery.ts';
import { suite as tableSize } from './suites/table-size.ts';

export const SUITES: readonly Suite[] = [
  headline,
  contenders,
  contendersSlowDisk,
  latency,
  overload,
  drop,
  recovery,
  growth,
  tableSize,
  k6,
  ...scenarioSuites,
  guard,
];
