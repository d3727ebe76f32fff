/**
 * One server of a contest: started, loaded, and its answers counted twice, by it and by the load.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { BenchServer } from '../child.ts';
import { cpuOf, postgresCpu } from '../cpu.ts';
import { runLoad } from '../http-load.ts';
import type { LoadOptions } from '../http-load.ts';
import { orderCounts } from '../order-counts.ts';
import type { Contender } from './contender.ts';

/** What was asked of a database, by whichever of its servers. */
export interface Till {
  readonly kind: 'engine' | Contender['kind'];
  readonly databaseUrl: string;
  /** All of them are to be sold, one an order; null = there are more than can be. */
  readonly units: number | null;
  /** Orders that the servers say they made. */
  made: number;
  /** Answers 201 that the loads heard. */
  heard: number;
  /** Requests whose answer the end of a load may have cut off. */
  unheard: number;
}

export interface Seat {
  /** As in the tables and charts. */
  readonly name: string;
  readonly server: BenchServer;
  /** Null = nothing is sold. */
  readonly till: Till | null;
}

/** One load on one seat. */
export interface Load {
  readonly seat: string;
  readonly clients: number;
  /** Answers that were expected. */
  readonly perSecond: number;
  readonly accepted: number;
  readonly refused: number;
  readonly shed: number;
  /** Milliseconds, closed loop. */
  readonly p50: number;
  readonly p99: number;
  /** CPU microseconds per answer. */
  readonly cpu: { readonly server: number; readonly postgres: number; readonly redis: number };
}

/** Process ids. */
export interface Machine {
  readonly postmaster: number;
  readonly redis: number;
}

/** For what is still under way when a load has ended: a customer's request lives no longer. */
const DRAIN_MS_MAX = 30_000;
const POLL_MS = 10;
const WAITING_LINE = /^hedonify_requests_waiting (?<count>\d+)$/m;

/**
 * Ends when nothing of it is under way any more, so that the next seat has the machine for itself.
 *
 * @throws Error for an answer that must not be: neither an order, nor a refusal that was expected,
 * nor a shed one, which is counted
 */
export async function loadSeat(
  seat: Seat,
  machine: Machine,
  options: Omit<LoadOptions, 'url'>,
): Promise<Load> {
  const { url, pid } = seat.server;
  const { connections: clients, expected = 'accepted' } = options;
  const before = { counts: await countsOf(seat), cpu: cpuSeconds(pid, machine) };
  const result = await runLoad({ ...options, url, expected: 'either' });
  await drained(seat);
  const after = { counts: await countsOf(seat), cpu: cpuSeconds(pid, machine) };
  const { till } = seat;
  const grown = (outcome: 'made' | 'refused' | 'shed') =>
    after.counts[outcome] - before.counts[outcome];
  const [refused, shed] = till === null ? [result.refused, 0] : [grown('refused'), grown('shed')];
  // Heard and not counted by the server: an error of its own.
  const strange = Math.max(0, result.refused - refused - shed);
  const wrong = strange + { accepted: refused, refused: grown('made'), either: 0 }[expected];
  if (result.failed + wrong > 0) {
    throw new Error(`${seat.name}: ${result.failed} requests failed, ${wrong} answers were wrong`);
  }
  if (till !== null) {
    till.heard += result.accepted;
    till.unheard += clients;
  }
  const heard = expected === 'refused' ? result.refused : result.accepted;
  const counted = expected === 'refused' ? refused : grown('made');
  const answers = Math.max(1, till === null ? heard : counted);
  const perAnswer = (used: keyof typeof before.cpu) =>
    ((after.cpu[used] - before.cpu[used]) * 1e6) / answers;
  return {
    seat: seat.name,
    clients,
    // Of the load's own answers; those of another kind took part of its time.
    perSecond: (result.perSecond * heard) / Math.max(1, result.accepted + result.refused),
    accepted: result.accepted,
    refused,
    shed,
    p50: result.p50,
    p99: result.p99,
    cpu: {
      server: perAnswer('server'),
      postgres: perAnswer('postgres'),
      redis: perAnswer('redis'),
    },
  };
}

/** Stops the server and keeps what it has counted. */
export async function stopSeat(seat: Seat): Promise<void> {
  await drained(seat);
  if (seat.till !== null) seat.till.made += (await countsOf(seat)).made;
  await seat.server.stop();
}

interface Counts {
  readonly made: number;
  readonly refused: number;
  readonly shed: number;
}

/** Of those that sell nothing, 0. @throws Error for an outcome that no load may have */
async function countsOf({ name, server, till }: Seat): Promise<Counts> {
  const counts = { made: 0, refused: 0, shed: 0 };
  if (till === null) return counts;
  for (const [kind, count] of await orderCounts(server.url)) {
    const [outcome] = kind.split(' ', 1);
    if (outcome === 'accepted') counts.made += count;
    else if (outcome === 'refused' || outcome === 'shed') counts[outcome] += count;
    else if (count > 0) throw new Error(`${name} answered ${count} requests with ${kind}`);
  }
  return counts;
}

async function drained({ name, server, till }: Seat): Promise<void> {
  if (till === null) return;
  const deadline = performance.now() + DRAIN_MS_MAX;
  for (;;) {
    const text = await (await fetch(`${server.url}/metrics`)).text();
    if (WAITING_LINE.exec(text)?.groups?.['count'] === '0') return;
    if (performance.now() > deadline) throw new Error(`${name} still works on its requests`);
    await delay(POLL_MS);
  }
}

function cpuSeconds(
  pid: number,
  machine: Machine,
): Record<'server' | 'postgres' | 'redis', number> {
  return {
    server: sumOf(pid),
    postgres: postgresCpu(machine.postmaster),
    redis: sumOf(machine.redis),
  };
}

function sumOf(pid: number): number {
  const { main, shards, runtime } = cpuOf(pid);
  return main + shards + runtime;
}
