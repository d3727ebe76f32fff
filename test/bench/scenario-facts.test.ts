/** What a run of a scenario may not pass with: each row is one thing that went wrong. */
import { expect, it } from 'vitest';
import { SCENARIOS } from '../../bench/scenarios/catalogue.ts';
import type { Seen } from '../../bench/scenarios/k6-run.ts';
import { fatal, isWithin } from '../../bench/scenarios/scenario.ts';
import type { Ended, Scenario } from '../../bench/scenarios/scenario.ts';
import type { StoredRows } from '../../bench/scenarios/shop-rows.ts';

const NO_LATENCY = { p50: 0, p95: 0, p99: 0 };

function named(name: string): Scenario {
  const scenario = SCENARIOS.find((it) => it.name === name);
  if (scenario === undefined) throw new Error(`no scenario ${name}`);
  return scenario;
}

interface Change {
  readonly seen?: Partial<Seen>;
  readonly counts?: Readonly<Record<string, number>>;
  readonly stored?: Partial<StoredRows>;
}

/** All of the stock sold as it should be, but for the change. */
function broken(scenario: Scenario, { seen, counts = {}, stored }: Change): readonly string[] {
  const load = scenario.quick;
  const ground = scenario.ground(load);
  const units = ground.products * ground.stock;
  const ended: Ended = {
    load,
    ground,
    seen: {
      begun: scenario.due(load),
      sent: scenario.due(load),
      accepted: units,
      replayed: units,
      refused: 1,
      shed: 0,
      unseen: 0,
      stepsDeclined: 0,
      unexpected: 0,
      acceptedMs: NO_LATENCY,
      declinedMs: NO_LATENCY,
      crossed: [],
      counts,
      ...seen,
    },
    stored: {
      orders: units,
      paid: 0,
      cancelled: 0,
      expired: 0,
      unitsOrdered: units,
      unitsLeft: 0,
      ...stored,
    },
  };
  return scenario.facts(ended).flatMap(([what, holds]) => (holds ? [] : [what]));
}

const UNITS = 60;

it.each<readonly [what: string, scenario: string, change: Change, facts: number]>([
  ['nothing', 'flash-sale', {}, 0],
  ['a unit too many', 'flash-sale', { stored: { unitsOrdered: UNITS + 1 } }, 1],
  ['a unit left', 'flash-sale', { stored: { unitsOrdered: UNITS - 1 } }, 1],
  ['a promise too many', 'flash-sale', { seen: { accepted: UNITS + 1 } }, 1],
  ['a customer not told', 'flash-sale', { seen: { accepted: UNITS - 1 } }, 1],
  ['an answer lost', 'flash-sale', { seen: { accepted: UNITS - 1, unseen: 1 } }, 0],
  ['nobody refused', 'flash-sale', { seen: { refused: 0 } }, 1],
  ['somebody shed', 'hot-product', { seen: { refused: 0, shed: 1 } }, 1],
  ['a replay lost', 'retry-storm', { seen: { replayed: 0 } }, 1],
  ['a key with two answers', 'retry-storm', { counts: { pairs_torn: 1 } }, 1],
  [
    'a unit from nowhere',
    'carts',
    { stored: { orders: 400, unitsOrdered: 1200, unitsLeft: 49 } },
    1,
  ],
  ['a line lost', 'carts', { stored: { orders: 400, unitsOrdered: 1199, unitsLeft: 49 } }, 1],
  [
    'a held unit lost',
    'hold-and-lapse',
    { stored: { orders: 200, paid: 0, expired: 200, unitsLeft: 99 } },
    1,
  ],
  [
    'an order never over',
    'hold-and-lapse',
    { stored: { orders: 200, paid: 0, expired: 199, unitsLeft: 100 } },
    1,
  ],
])('finds %s in %s', (...[, name, change, facts]) => {
  expect(broken(named(name), change)).toHaveLength(facts);
});

it('takes as many stored orders as customers know of, or fewer than the others could have', () => {
  const told = { least: 10, unseen: 2 };
  expect([9, 10, 12, 13].map((stored) => isWithin(stored, told))).toEqual([
    false,
    true,
    true,
    false,
  ]);
});

it('fails by every crossed threshold, but in a benchmark not by one that the machine may cross', () => {
  const shown = ['accepted_ms: p(99)<300', 'recovered_shed: count==0'];
  const wrong = ['pairs_torn: count==0', 'answers_unexpected: count==0'];
  expect(fatal([...shown, ...wrong], true)).toEqual(wrong);
  expect(fatal([...shown, ...wrong], false)).toEqual([...shown, ...wrong]);
});
