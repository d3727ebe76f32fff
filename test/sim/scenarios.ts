/**
 * What must come out when one thing goes wrong, told once for the fake PostgreSQL and the real one:
 * what the simulator's fake says is worth nothing unless the real one says the same.
 *
 * Products are named by numbers: there are two shards, and product n belongs to shard n % 2.
 */

/** To the next batch, once. */
export const FAULTS = [
  'deadlock',
  'statement-timeout',
  /** The connection falls silent: before the batch arrives, or when it has been committed. */
  'lost-before',
  'lost-after',
] as const;
export type Fault = (typeof FAULTS)[number];

export type Lines = readonly (readonly [product: number, units: number])[];

export type Asked =
  | { readonly kind: 'place'; readonly key: string; readonly by: string; readonly lines: Lines }
  /** `version`: as it was read; absent = as it is. `key`: of the request, or null. */
  | {
      readonly kind: 'checkout';
      readonly cart: string;
      readonly version?: number;
      readonly key: string | null;
    }
  | {
      readonly kind: 'restock';
      readonly key: string;
      readonly product: number;
      readonly units: number;
    }
  | {
      readonly kind: 'edit';
      readonly product: number;
      readonly limit?: number | null;
      readonly opensInMs?: number;
      readonly closesInMs?: number;
    }
  /** Its payment is confirmed. */
  | { readonly kind: 'pay'; readonly key: string }
  | { readonly kind: 'cancel'; readonly key: string };

export type Step =
  /** In one group, not waited for. */
  | { readonly do: 'send'; readonly asked: readonly Asked[] }
  /** Until everybody has an answer, or there is none to be had, and nothing is under way. */
  | { readonly do: 'settle' }
  | { readonly do: 'pass'; readonly ms: number }
  | { readonly do: 'harm'; readonly fault: Fault }
  | { readonly do: 'go-away' }
  | { readonly do: 'come-back' }
  /** A customer puts something else into a cart, the first time into a new one. */
  | { readonly do: 'fill'; readonly cart: string; readonly by: string; readonly lines: Lines }
  /** The order's payment is on its way. */
  | { readonly do: 'start-payment'; readonly key: string }
  /** By hand, behind the back of the engine. */
  | { readonly do: 'lower'; readonly product: number; readonly units: number }
  | { readonly do: 'fence'; readonly shard: number }
  /** The thread of the shard dies; another one starts and remembers nothing. */
  | { readonly do: 'replace'; readonly shard: number };

export interface Scenario {
  readonly name: string;
  /** By product, from 0. */
  readonly stock: readonly number[];
  readonly steps: readonly Step[];
  /** In the order of what was asked. */
  readonly answers: readonly string[];
  readonly stockAfter: readonly number[];
}

export const SHARDS = 2;
/** For unpaid orders. */
export const HOLD_TTL_MS = 60_000;

const SETTLE: Step = { do: 'settle' };
const AWAY: Step = { do: 'go-away' };
const BACK: Step = { do: 'come-back' };
const pass = (ms: number): Step => ({ do: 'pass', ms });
const EXPIRE = pass(HOLD_TTL_MS);

/** The key is the order's name as well. */
function order(key: string, ...lines: Lines): Asked {
  return { kind: 'place', key, by: 'Ada', lines };
}

function by(customer: string, asked: Asked): Asked {
  return { ...asked, by: customer } as Asked;
}

function cancel(key: string): Asked {
  return { kind: 'cancel', key };
}

function send(...asked: Asked[]): Step {
  return { do: 'send', asked };
}

function harm(fault: Fault): Step {
  return { do: 'harm', fault };
}

/** A fault after which the same batch can succeed costs nobody anything. */
const HEALED: readonly Scenario[] = FAULTS.map((fault) => ({
  name: `after ${fault} everybody in the batch gets what was asked for, once (I3, I8)`,
  stock: [5, 5],
  steps: [
    harm(fault),
    send(order('one', [0, 2]), { kind: 'restock', key: 'more', product: 0, units: 3 }),
    SETTLE,
    send(order('one', [0, 2]), order('two', [0, 6])),
    SETTLE,
  ],
  answers: ['accepted', 'changed', 'accepted again', 'accepted'],
  stockAfter: [0, 5],
}));

/** Limits, sale windows, carts and payments. */
const SHOP: readonly Scenario[] = [
  {
    name: 'a first limit counts what is sold and what is on its way, wherever its orders live (I6)',
    stock: [9, 9],
    steps: [
      send(order('sold', [1, 1]), order('else', [0, 1])),
      SETTLE,
      harm('lost-after'),
      send(
        order('across', [0, 1], [1, 1]),
        order('on its way', [1, 1]),
        { kind: 'edit', product: 1, limit: 3 },
        order('too much', [1, 1]),
      ),
      SETTLE,
      send(order('too much', [1, 1]), by('Ben', order('another', [1, 3]))),
      SETTLE,
      send({ kind: 'cancel', key: 'across' }),
      SETTLE,
      send(order('again', [1, 2]), order('one', [1, 1])),
      SETTLE,
    ],
    answers: [
      'accepted',
      'accepted',
      'accepted',
      'accepted',
      'edited',
      'limit-exceeded',
      'limit-exceeded',
      'accepted',
      'status-changed',
      'limit-exceeded',
      'accepted',
    ],
    stockAfter: [8, 3],
  },
  {
    name: 'a limit that an owner never heard of holds for its successor (I6)',
    stock: [9, 9],
    steps: [
      send({ kind: 'edit', product: 0, limit: 2 }),
      SETTLE,
      { do: 'replace', shard: 0 },
      harm('lost-after'),
      send(order('one', [0, 1])),
      { do: 'replace', shard: 0 },
      SETTLE,
      send(order('two', [0, 2]), order('across', [0, 1], [1, 1])),
      SETTLE,
      send(order('three', [0, 1], [1, 1]), by('Ben', order('other', [0, 2], [1, 1]))),
      SETTLE,
    ],
    answers: ['edited', 'nothing', 'limit-exceeded', 'accepted', 'limit-exceeded', 'accepted'],
    stockAfter: [5, 7],
  },
  {
    name: 'doors open and close at their very milliseconds, in every shard (I6)',
    stock: [9, 9],
    steps: [
      send({ kind: 'edit', product: 1, opensInMs: 1000, closesInMs: 2000 }),
      SETTLE,
      pass(999),
      send(order('early', [1, 1]), order('early too', [0, 1], [1, 1])),
      SETTLE,
      pass(1),
      send(order('first', [1, 1]), order('first too', [0, 1], [1, 1])),
      SETTLE,
      pass(999),
      send(order('last', [1, 1]), order('last too', [0, 1], [1, 1])),
      SETTLE,
      pass(1),
      send(order('late', [1, 1]), order('late too', [0, 1], [1, 1])),
      SETTLE,
    ],
    answers: [
      'edited',
      'sale-not-started',
      'sale-not-started',
      'accepted',
      'accepted',
      'accepted',
      'accepted',
      'sale-ended',
      'sale-ended',
    ],
    stockAfter: [7, 5],
  },
  {
    name: 'two tabs and a cart that was changed meanwhile make one order (I3, I4)',
    stock: [9, 9],
    steps: [
      { do: 'fill', cart: 'c', by: 'Ada', lines: [[0, 1]] },
      { do: 'fill', cart: 'c', by: 'Ada', lines: [[0, 2], [1, 2]] }, // prettier-ignore
      send(
        { kind: 'checkout', cart: 'c', version: 1, key: null },
        { kind: 'checkout', cart: 'c', key: 'k' },
        { kind: 'checkout', cart: 'c', key: null },
      ),
      SETTLE,
      { do: 'replace', shard: 0 },
      send(
        { kind: 'checkout', cart: 'c', key: 'k' },
        // Under the key of the checkout, for the very same lines.
        order('k', [0, 2], [1, 2]),
      ),
      SETTLE,
    ],
    answers: ['cart-changed', 'accepted', 'accepted again', 'accepted again', 'key-reused'],
    stockAfter: [7, 7],
  },
  {
    name: 'an order is paid or expires, never both, and is paid by one payment (I6, I10)',
    stock: [5, 5],
    steps: [
      send(order('paid', [0, 1], [1, 1]), order('late', [0, 2], [1, 2])),
      SETTLE,
      { do: 'start-payment', key: 'paid' },
      { do: 'start-payment', key: 'late' },
      send({ kind: 'pay', key: 'paid' }, { kind: 'pay', key: 'paid' }),
      SETTLE,
      EXPIRE,
      send({ kind: 'pay', key: 'late' }, { kind: 'pay', key: 'paid' }),
      SETTLE,
      send(order('rest', [0, 4], [1, 4])),
      SETTLE,
    ],
    answers: [
      'accepted',
      'accepted',
      'status-changed',
      'kept PAID',
      'kept EXPIRED',
      'kept PAID',
      'accepted',
    ],
    stockAfter: [0, 0],
  },
];

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'orders of one shard and of two commit (I2, I4)',
    stock: [5, 5],
    steps: [send(order('one', [0, 1]), order('both', [0, 2], [1, 3])), SETTLE],
    answers: ['accepted', 'accepted'],
    stockAfter: [2, 2],
  },
  {
    name: 'an order that another shard cannot serve takes nothing anywhere (I4)',
    stock: [5, 1],
    steps: [
      send(order('both', [0, 2], [1, 3])),
      SETTLE,
      send(order('rest', [0, 5]), order('last', [1, 1])),
      SETTLE,
    ],
    answers: ['out-of-stock', 'accepted', 'accepted'],
    stockAfter: [0, 0],
  },
  ...HEALED,
  {
    name: 'stock that somebody lowered is found out by one order, and its neighbours live (I1, I8)',
    stock: [5, 0, 5],
    steps: [
      send(order('first', [0, 1])),
      SETTLE,
      { do: 'lower', product: 0, units: 3 },
      send(order('too much', [0, 3]), order('neighbour', [2, 1])),
      SETTLE,
      send(order('too much', [0, 3]), order('last', [0, 1])),
      SETTLE,
    ],
    answers: ['accepted', 'shed database-unavailable', 'accepted', 'out-of-stock', 'accepted'],
    stockAfter: [0, 0, 4],
  },
  {
    name: 'a fenced owner commits nothing and answers nothing (I5)',
    stock: [5],
    steps: [{ do: 'fence', shard: 0 }, send(order('one', [0, 1])), SETTLE],
    answers: ['nothing'],
    stockAfter: [5],
  },
  {
    name: 'an order that needs a fenced owner is shed, and its neighbours live (I4, I5)',
    stock: [5, 5],
    steps: [
      { do: 'fence', shard: 1 },
      send(order('both', [0, 2], [1, 2]), order('neighbour', [0, 1])),
      SETTLE,
      send(order('rest', [0, 4])),
      SETTLE,
    ],
    answers: ['shed overloaded', 'accepted', 'accepted'],
    stockAfter: [0, 5],
  },
  {
    name: 'while PostgreSQL is away orders are shed, and afterwards the same key buys (I8)',
    stock: [5],
    steps: [
      send(order('before', [0, 1])),
      SETTLE,
      AWAY,
      send(order('meanwhile', [0, 2])),
      SETTLE,
      BACK,
      send(order('meanwhile', [0, 2])),
      SETTLE,
    ],
    answers: ['accepted', 'shed database-unavailable', 'accepted'],
    stockAfter: [2],
  },
  {
    name: 'repeats of a key get its one order, also from an owner that never heard of it (I3)',
    stock: [3],
    steps: [
      send(order('one', [0, 2]), order('one', [0, 2]), order('one', [0, 1])),
      SETTLE,
      { do: 'replace', shard: 0 },
      send(order('one', [0, 2]), order('one', [0, 1]), order('two', [0, 2])),
      SETTLE,
    ],
    answers: [
      'accepted',
      'accepted again',
      'key-reused',
      'accepted again',
      'key-reused',
      'out-of-stock',
    ],
    stockAfter: [1],
  },
  {
    name: 'the holds of a shard that died are settled from PostgreSQL (I1, I4)',
    stock: [3, 3],
    steps: [
      harm('lost-after'),
      send(order('both', [0, 1], [1, 1])),
      { do: 'replace', shard: 0 },
      SETTLE,
      send(order('both', [0, 1], [1, 1])),
      SETTLE,
      send(order('rest', [0, 2], [1, 2])),
      SETTLE,
      send(order('more', [0, 1], [1, 1])),
      SETTLE,
    ],
    answers: ['nothing', 'accepted again', 'accepted', 'out-of-stock'],
    stockAfter: [0, 0],
  },
  {
    name: 'an order that is cancelled in time does not expire, and frees its units once (I10)',
    stock: [3, 3],
    steps: [
      send(order('one', [0, 2], [1, 1])),
      SETTLE,
      send(cancel('one')),
      SETTLE,
      EXPIRE,
      SETTLE,
      send(cancel('one'), order('all', [0, 3], [1, 3])),
      SETTLE,
    ],
    answers: ['accepted', 'status-changed', 'kept CANCELLED', 'accepted'],
    stockAfter: [0, 0],
  },
  {
    name: 'an order that is expiring cannot be cancelled, and frees its units once (I10)',
    stock: [3, 3],
    steps: [
      send(order('one', [0, 2], [1, 1])),
      SETTLE,
      EXPIRE,
      send(cancel('one')),
      SETTLE,
      send(order('all', [0, 3], [1, 3])),
      SETTLE,
    ],
    answers: ['accepted', 'kept EXPIRED', 'accepted'],
    stockAfter: [0, 0],
  },
  ...SHOP,
];
