import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { StoredEffect } from '../../src/domain/batch.ts';
import type { OrderId } from '../../src/domain/ids.ts';
import type { Answer } from '../../src/domain/wire.ts';
import { product, productId, START_MS } from './shard-harness.ts';
import { World } from './shard-model.ts';
import type { Request, Sent } from './shard-model.ts';

/** Products 1 to 4 exist; 5 does not. */
const NUMBERS = [1, 2, 3, 4];
const UNKNOWN = 5;
const KEYS = 6;
/** More than any product ever holds: the refusal tells how much is left. */
const FAR_TOO_MANY = 1_000_000;
/** Queries fail now and then, and work much more often. */
const HAPPENINGS = fc.oneof(
  { weight: 9, arbitrary: fc.constantFrom('apply', 'deliver', 'load', 'look-up') },
  { weight: 1, arbitrary: fc.constantFrom('load-failed', 'look-up-failed') },
);

const line = fc.tuple(fc.constantFrom(1, 1, 2, 3, 4, UNKNOWN), fc.integer({ min: 1, max: 4 }));
const requests: fc.Arbitrary<Request> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('place' as const), lines: fc.uniqueArray(line, { minLength: 1, maxLength: 3, selector: ([number]) => number }).map((lines) => lines.toSorted(([a], [b]) => a - b)) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('change-stock' as const), product: fc.constantFrom(...NUMBERS, UNKNOWN), delta: fc.integer({ min: -6, max: 6 }).filter((delta) => delta !== 0) }) },
); // prettier-ignore

/** With a key mostly the request that the key stands for, else misuse of it. */
const command = fc.oneof(
  { weight: 2, arbitrary: fc.record({ key: fc.constant(null), request: requests, misuse: fc.constant(true) }) },
  { weight: 4, arbitrary: fc.record({ key: fc.nat(KEYS - 1), request: requests, misuse: fc.nat(4).map((n) => n === 0) }) },
); // prettier-ignore

const actions = fc.oneof(
  { weight: 5, arbitrary: fc.record({ type: fc.constant('send' as const), commands: fc.array(command, { minLength: 1, maxLength: 4 }) }) },
  { weight: 8, arbitrary: fc.record({ type: fc.constant('happen' as const), what: HAPPENINGS, nth: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 2500 }) }) },
); // prettier-ignore

const runs = fc.record({
  actions: fc.array(actions, { minLength: 1, maxLength: 90, size: 'max' }),
  /** What each key is the key of. */
  keyed: fc.array(requests, { minLength: KEYS, maxLength: KEYS }),
  /** Keys that were bound before this owner took over. */
  bound: fc.uniqueArray(fc.nat(KEYS - 1), { maxLength: 2 }),
  stock: fc.integer({ min: 0, max: 10 }),
  windowLinesMax: fc.integer({ min: 3, max: 6 }),
  limits: fc.record({
    batchOrdersMax: fc.integer({ min: 1, max: 6 }),
    batchLinesMax: fc.integer({ min: 3, max: 12 }),
    commitsInFlightMax: fc.integer({ min: 1, max: 3 }),
    overlapOrdersMin: fc.integer({ min: 1, max: 3 }),
    mailboxMax: fc.integer({ min: 10, max: 40 }),
    actorsMax: fc.integer({ min: 1, max: 5 }),
    queryIdsMax: fc.integer({ min: 1, max: 4 }),
  }),
  stop: fc.boolean(),
});
type Run = typeof runs extends fc.Arbitrary<infer T> ? T : never;

/** As the owner before this one left it. */
function boundEffect(key: number, request: Request): StoredEffect {
  const id = `key ${key}`;
  const requestHash = JSON.stringify(request);
  if (request.kind === 'change-stock')
    return { kind: 'stock-change', id, requestHash, available: 7 };
  const lines = request.lines.map(([number]) => ({ productId: productId(number) }));
  const accepted = lines.map((_, i) => ({ name: 'then', unitPrice: 1, sequence: i + 1 }));
  const order = { currency: 'USD', createdAt: START_MS - 1, expiresAt: START_MS, lines: accepted };
  return { kind: 'order', id: id as OrderId, requestHash, lines, order };
}

function play(run: Run): World {
  const keyed = (key: number): Request => run.keyed[key] ?? { kind: 'place', lines: [[1, 1]] };
  const world = new World({
    products: NUMBERS.map((n) => product(n, { stock: run.stock, sequence: 100 })),
    limits: run.limits,
    windowLinesMax: run.windowLinesMax,
    bound: run.bound.map((key) => boundEffect(key, keyed(key))),
  });
  const { mailboxMax, batchOrdersMax, commitsInFlightMax } = run.limits;
  // The mailboxes, and whatever comes back undecided from the open batch and those in flight (I9).
  const undecidedMax = mailboxMax + batchOrdersMax * (commitsInFlightMax + 1);
  for (const action of run.actions) {
    if (action.type === 'happen') world.happen(action.what, action.nth);
    else if (action.type === 'pass') world.pass(action.ms);
    else {
      world.send(
        action.commands.map(({ key, request, misuse }) => [
          key === null || misuse ? request : keyed(key),
          key,
        ]),
      );
    }
    for (const { answers } of world.sent) expect(answers.length).toBeLessThanOrEqual(1);
    expect(world.undecided).toBeLessThanOrEqual(undecidedMax);
  }
  if (run.stop) world.stop();
  world.settle();
  return world;
}

function answerOf({ answers }: Sent): Answer {
  const [answer] = answers;
  if (answer === undefined || answers.length !== 1) throw new Error('not exactly one answer (I8)');
  return answer;
}

/** What an answer says took effect, without the number of the request. */
function effectOf(answer: Answer): string | null {
  if (answer.type === 'accepted') return JSON.stringify(answer.order);
  return answer.type === 'changed' ? `${answer.available}` : null;
}

function expectOneEffectPerKey(world: World, boundBefore: ReadonlySet<string>): void {
  const byId = Map.groupBy(world.sent, ({ command }) => command.id as string);
  for (const [id, all] of byId) {
    const stored = world.rows.effects.get(id);
    const told = all.filter((sent) => effectOf(answerOf(sent)) !== null);
    const first = told.filter((sent) => {
      const answer = answerOf(sent);
      return (answer.type === 'accepted' || answer.type === 'changed') && !answer.replayed;
    });
    expect(new Set(told.map((sent) => effectOf(answerOf(sent)))).size).toBeLessThanOrEqual(1);
    const keyed = all.every(({ command }) => command.keyed);
    if (!keyed) continue;
    // Whoever took effect was told so, and nobody else.
    expect(first).toHaveLength(stored === undefined || boundBefore.has(id) ? 0 : 1);
    for (const { command } of told) expect(stored?.requestHash).toBe(command.requestHash);
    for (const sent of all) {
      if (answerOf(sent).type !== 'key-reused') continue;
      expect(stored?.requestHash ?? sent.command.requestHash).not.toBe(sent.command.requestHash);
    }
  }
}

/** Units are either in stock or in what was answered as accepted (I10). */
function expectConservation(world: World, run: Run): void {
  for (const n of NUMBERS) {
    const id = productId(n);
    let expected = run.stock;
    for (const sent of world.sent) {
      const answer = answerOf(sent);
      const { command } = sent;
      if (answer.type === 'accepted' && !answer.replayed && command.kind === 'place') {
        expected -= command.lines.find((at) => at.productId === id)?.quantity ?? 0;
      } else if (answer.type === 'changed' && !answer.replayed && command.kind === 'change-stock') {
        if (command.productId === id) expected += command.delta;
      }
    }
    expect(world.rows.products.get(id)?.stock).toBe(expected);
    const sequences = world.rows.sequences.get(id) ?? [];
    expect(new Set(sequences).size).toBe(sequences.length);
    expect(Math.min(...sequences, 101)).toBe(101);
  }
}

/** What the owner believes is left is what PostgreSQL holds, once nothing is under way. */
function expectOwnersView(world: World): void {
  for (const n of NUMBERS) {
    const [probe] = world.send([[{ kind: 'place', lines: [[n, FAR_TOO_MANY]] }, null]]);
    world.settle();
    if (probe === undefined) throw new Error('nothing was sent');
    expect(answerOf(probe)).toMatchObject({
      type: 'refused',
      refusal: { items: [{ available: world.rows.products.get(productId(n))?.stock }] },
    });
  }
}

it('never oversells, answers everybody once and every key the same, in any interleaving (I1, I3, I8, I10)', () => {
  const seen: Record<string, number> = { duplicates: 0, overlapping: 0 };
  fc.assert(
    fc.property(runs, (run) => {
      const world = play(run);
      const boundBefore = new Set(run.bound.map((key) => `key ${key}`));
      for (const sent of world.sent) {
        const answer = answerOf(sent);
        const kind = 'replayed' in answer && answer.replayed ? 'replayed' : answer.type;
        seen[kind] = (seen[kind] ?? 0) + 1;
        // Whatever happened to the stock since, a repeat is shown what the first was.
        if (!sent.repeat) continue;
        expect(['replayed', 'shed']).toContain(kind);
        seen['repeats'] = (seen['repeats'] ?? 0) + 1;
      }
      expectOneEffectPerKey(world, boundBefore);
      expectConservation(world, run);
      expect(world.undecided).toBe(0);
      expect(world.stopped).toBe(run.stop ? 1 : 0);
      for (const batch of world.batches) {
        const size = batch.orders.length + batch.stockChanges.length;
        expect(size).toBeGreaterThan(0);
        expect(size).toBeLessThanOrEqual(run.limits.batchOrdersMax);
      }
      if (!run.stop) expectOwnersView(world);
      seen['duplicates'] = (seen['duplicates'] ?? 0) + world.rows.duplicates;
      if (world.batches.length > 1) seen['overlapping'] = (seen['overlapping'] ?? 0) + 1;
    }),
    { numRuns: 300 },
  );
  // The property is worth something only if all of this happened.
  const kinds = ['accepted', 'changed', 'replayed', 'refused', 'insufficient-stock', 'key-reused', 'shed', 'duplicates', 'overlapping', 'repeats']; // prettier-ignore
  for (const kind of kinds) expect(seen[kind] ?? 0, kind).toBeGreaterThan(50);
});
