/** The engine against other ways to sell the same, behind the same HTTP edge. */
import { holdContest, SOLD_OUT_CLIENTS, SWEEP_CLIENTS } from '../contenders/contest.ts';
import {
  answerTable,
  auditTable,
  clientsChart,
  costTable,
  ratioTable,
  soldOutTable,
  sweepTable,
  throughputTables,
} from '../contenders/contest-report.ts';
import { CONTENDERS } from '../contenders/catalogue.ts';
import type { Suite } from '../suite.ts';

const CLIENTS = [1, 16, 64, 128, 256, 512];
const SPARSE_CLIENTS = [1, 64, 256];
const OWN_CONNECTIONS = [128, 256];
const POOLS = [1, 4, 16, 32, 64, 256];
const COST_CLIENTS = [64, 256];

/** What a sceptic has to know about every contest. */
export const CONTEST_NOTES: readonly string[] = [
  ...CONTENDERS.map(({ name, summary }) => `${name}: ${summary}`),
  'all of them, the roof too, stand behind the very same Fastify routes, authentication and ' +
    'validation, write the same tables with the same indexes, and honour the Idempotency-Key',
  'only the engine also writes ledger and outbox, proves its ownership in each commit, ' +
    'counts metrics and expires what is not paid: what that costs is in its figures alone',
  'random keys (UUIDv4), 1,000 customers, one unit an order, one product; closed loop',
  `a pool is chosen once, with ${SWEEP_CLIENTS} clients, and kept for every other number of them; ` +
    'row-lock, tick-batches and echo are loaded with fewer numbers of clients than the others',
  'every server, also of the sweep and with a connection per client, is loaded for a second before ' +
    'it counts, with as many clients as it has connections or more: by then connections are open, ' +
    'statements prepared and planned; without sequential scans',
  'contenders run HTTP and SQL in one event loop, as a plain Node service does; the engine has a ' +
    'thread for HTTP and one for its shard',
  'the bar of 6 is for the one conditional statement, that of 20 for a connection per client; ' +
    'skip-locked and the best of all stand beside, without a bar of their own',
  'seats change their places from round to round, about as often early as late; a CHECKPOINT goes ' +
    'before each load, so everybody writes full pages anew',
  'after each load its server finishes what it has before the next one is loaded',
  'accepted orders are counted by the load, by the server and from the rows: all three agree, ' +
    'but for the answers that the end of a load cuts off',
];

export const suite: Suite = {
  name: 'contenders',
  summary:
    'orders/s by clients, 1 to 512: the engine, locks, SKIP LOCKED, Redis, ticks, roof, echo',
  minutes: 12,
  defaults: { rounds: 7, seconds: 1 },
  run: async (run) => {
    const contest = await holdContest(run, {
      fsyncDelayMs: 0,
      clients: CLIENTS,
      sparseClients: SPARSE_CLIENTS,
      ownConnections: OWN_CONNECTIONS,
      pools: POOLS,
      withEcho: true,
      withEndings: true,
    });
    return {
      title: 'The engine and its contenders',
      notes: CONTEST_NOTES,
      tables: [
        ratioTable(contest),
        ...throughputTables(contest),
        soldOutTable(contest, SOLD_OUT_CLIENTS),
        ...COST_CLIENTS.map((clients) => costTable(contest, clients)),
        sweepTable(contest),
        answerTable(contest),
        auditTable(contest),
      ],
      charts: [clientsChart(contest)],
      data: { ...contest, bestPools: Object.fromEntries(contest.bestPools) },
    };
  },
};
