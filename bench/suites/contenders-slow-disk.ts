/** The same contest on slower disks: every fsync of PostgreSQL takes so much longer. */
import { holdContest } from '../contenders/contest.ts';
import type { Contest } from '../contenders/contest.ts';
import {
  delayChart,
  ratioTable,
  sweepTable,
  throughputTables,
} from '../contenders/contest-report.ts';
import type { Suite, Table } from '../suite.ts';
import { CONTEST_NOTES } from './contenders.ts';

/** Milliseconds added: none, a near network disk, a far or busy one. */
const DELAYS_MS = [0, 1, 5];
const CLIENTS = 256;
const POOLS = [1, 4, 16, 64, 256];

export const suite: Suite = {
  name: 'contenders-slow-disk',
  summary: 'the contenders with 0, 1 and 5 ms added to each fsync, as network disks do',
  minutes: 16,
  defaults: { rounds: 7, seconds: 1 },
  run: async (run) => {
    const contests: Contest[] = [];
    for (const fsyncDelayMs of DELAYS_MS) {
      run.say(`${fsyncDelayMs} ms added to each fsync`);
      contests.push(
        await holdContest(run, {
          fsyncDelayMs,
          clients: [CLIENTS],
          sparseClients: [CLIENTS],
          ownConnections: [CLIENTS],
          pools: POOLS,
          withEcho: false,
          withEndings: false,
        }),
      );
    }
    return {
      title: 'The engine and its contenders on slower disks',
      notes: [
        ...CONTEST_NOTES,
        'fsync and fdatasync are slowed in PostgreSQL alone, by preloading',
      ],
      tables: contests.flatMap(tablesOf),
      charts: [delayChart(contests, CLIENTS)],
      data: contests.map((it) => ({ ...it, bestPools: Object.fromEntries(it.bestPools) })),
    };
  },
};

function tablesOf(contest: Contest): Table[] {
  const tables = [ratioTable(contest), ...throughputTables(contest), sweepTable(contest)];
  return tables.map((table) => ({
    ...table,
    title: `${table.title}: fsync + ${contest.fsyncDelayMs} ms`,
  }));
}
