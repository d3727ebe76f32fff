/** The scenarios of bench/k6 with their sizes: one place for every number of a run. */
import { STOCK_MAX } from '../../src/domain/bounds.ts';
import { counted, isWithin, nobodyRefused, soldOut } from './scenario.ts';
import type { Load, Scenario } from './scenario.ts';

const CUSTOMERS = 1000;
/** Of a flash sale. */
const CUSTOMERS_PER_UNIT = 20;
/** Three of each of four shards, and 220 different threes. */
const CART_PRODUCTS = 12;
/** Of the overloaded service; long beside the commit itself, so that the capacity is its doing. */
const COMMIT_DELAY_MS = 200;
/** Room for normal arrivals of four seconds, when a busy machine stands still. */
const OVERLOAD_MAILBOX_MIN = 100;
const HOLD_SECONDS = 2;

/** Iterations of a steady load. */
function steady({ rate, seconds }: Load): number {
  return rate * seconds;
}

/** Iterations of a ramp up, a plateau and a ramp down: 1/4, 1/2, 1/4 of the time. */
function ramped(load: Load): number {
  return steady(load) * 0.75;
}

const flashSale: Scenario = {
  name: 'flash-sale',
  summary: '20 customers a unit, arrivals ramp up and down',
  rate: 4000,
  quick: { rate: 400, seconds: 4 },
  due: ramped,
  ground: (load) => {
    const customers = Math.round(ramped(load));
    const stock = Math.round(customers / CUSTOMERS_PER_UNIT);
    return { products: 1, stock, customers, env: { SHARDS: '1' } };
  },
  facts: soldOut,
};

/** Sales that begin in this time. */
function doors(seconds: number): number {
  return Math.max(1, Math.floor(seconds / 4));
}

const doorsOpen: Scenario = {
  name: 'doors-open',
  summary: 'every 4 s a sale begins and everybody comes in the same second, 10 a unit',
  rate: 5000,
  quick: { rate: 500, seconds: 4 },
  due: ({ rate, seconds }) => rate * doors(seconds),
  ground: ({ rate, seconds }) => ({
    products: doors(seconds),
    stock: rate / 10,
    customers: Math.max(CUSTOMERS, rate),
    env: { SHARDS: '1' },
  }),
  facts: soldOut,
};

const hotProduct: Scenario = {
  name: 'hot-product',
  summary: 'one product at a steady rate, never sold out',
  rate: 3000,
  quick: { rate: 300, seconds: 3 },
  due: steady,
  ground: () => ({ products: 1, stock: STOCK_MAX, customers: CUSTOMERS, env: { SHARDS: '1' } }),
  facts: (ended) => [
    ...nobodyRefused(ended),
    [`nobody is shed, not ${ended.seen.shed}`, ended.seen.shed === 0],
  ],
};

const soldOutStorm: Scenario = {
  name: 'sold-out-storm',
  summary: '10 units, then refusals of fresh keys',
  rate: 4000,
  quick: { rate: 400, seconds: 3 },
  due: steady,
  ground: () => ({ products: 1, stock: 10, customers: CUSTOMERS, env: { SHARDS: '1' } }),
  facts: soldOut,
};

const zipf: Scenario = {
  name: 'zipf',
  summary: '100,000 products, Zipf 1.0; the hottest sell out',
  rate: 2000,
  quick: { rate: 300, seconds: 4 },
  due: steady,
  ground: (load) => ({
    products: 100_000,
    // The first is asked for by one of 12.
    stock: Math.round(steady(load) / 50),
    customers: CUSTOMERS,
    env: { SHARDS: '2' },
  }),
  facts: ({ seen }) => [
    ['somebody is refused the hottest', seen.refused > 0],
    ['most orders are accepted', seen.accepted > seen.refused],
  ],
};

const carts: Scenario = {
  name: 'carts',
  summary: 'orders of three lines across four shards, three for each that can be had',
  rate: 1000,
  quick: { rate: 250, seconds: 5 },
  due: steady,
  ground: (load) => ({
    products: CART_PRODUCTS,
    // One order in three finds all of its three, one in two where k6 could not begin them all.
    stock: Math.round(steady(load) / CART_PRODUCTS),
    customers: CUSTOMERS,
    env: { SHARDS: '4' },
  }),
  facts: ({ seen, stored, ground }) => {
    const units = ground.products * ground.stock;
    const { orders, unitsOrdered, unitsLeft } = stored;
    return [
      [`${orders} orders have 3 units each, not ${unitsOrdered}`, unitsOrdered === 3 * orders],
      [`sold and left are ${units}`, unitsOrdered + unitsLeft === units],
      // The last units of different products need not be a three that anybody asks for.
      [`nearly all is sold: ${unitsOrdered} of ${units}`, unitsOrdered >= 0.9 * units],
      ['the others were refused', seen.refused > 0],
    ];
  },
};

const retryStorm: Scenario = {
  name: 'retry-storm',
  summary: 'every order twice at once under one key, until it is sold out',
  rate: 1500,
  quick: { rate: 150, seconds: 4 },
  due: steady,
  ground: (load) => ({
    products: 1,
    stock: Math.round(steady(load) / 4),
    customers: CUSTOMERS,
    env: { SHARDS: '1' },
  }),
  facts: (ended) => [
    ...soldOut(ended),
    [
      `each accepted order was answered twice: ${ended.seen.accepted}, ${ended.seen.replayed}`,
      Math.abs(ended.seen.accepted - ended.seen.replayed) <= ended.seen.unseen + ended.seen.shed,
    ],
    ['no key has two answers', counted(ended.seen, 'pairs_torn') === 0],
  ],
};

const overload: Scenario = {
  name: 'overload',
  summary: 'commits slowed until 1,000/s are the limit, 5 times that offered, then half of it',
  rate: 5000,
  quick: { rate: 250, seconds: 8 },
  // Before and after the flood a tenth of it, in the same time.
  due: (load) => load.rate * floodSeconds(load) * 1.1,
  ground: (load) => {
    const capacity = overloadCapacity(load);
    return {
      products: 1,
      stock: STOCK_MAX,
      customers: CUSTOMERS,
      env: {
        SHARDS: '1',
        COMMITS_IN_FLIGHT_MAX: '1',
        COMMIT_DELAY_MS: `${COMMIT_DELAY_MS}`,
        BATCH_MAX_ORDERS: `${(capacity * COMMIT_DELAY_MS) / 1000}`,
        MAILBOX_MAX: `${Math.max(OVERLOAD_MAILBOX_MIN, capacity / 2)}`,
      },
      preload: ['./shims/slow-commit.ts'],
    };
  },
  facts: (ended) => {
    const { load, seen } = ended;
    const most = overloadCapacity(load) * floodSeconds(load);
    const flood = counted(seen, 'flood_accepted');
    return [
      ...nobodyRefused(ended),
      [`the service is slow: ${flood} accepted of ${most}`, flood > 0 && flood < 1.5 * most],
      ['what is too much is shed', seen.shed > 0],
      ['somebody is accepted again afterwards', counted(seen, 'recovered_accepted') > 0],
    ];
  },
};

/** Orders per second that the slowed service can do at most, by construction. */
export function overloadCapacity(load: Load): number {
  return load.rate / 5;
}

/** Seconds in which five times that is offered. */
export function floodSeconds(load: Load): number {
  return load.seconds / 2;
}

const mixedShop: Scenario = {
  name: 'mixed-shop',
  summary: 'browse, cart, check out; 60 % pay, 20 % cancel: 7 requests a shopper',
  rate: 150,
  quick: { rate: 20, seconds: 5 },
  due: steady,
  ground: () => ({ products: 200, stock: 100_000, customers: CUSTOMERS, env: { SHARDS: '2' } }),
  facts: (ended) => {
    const { seen, stored } = ended;
    const unseen = seen.stepsDeclined;
    const [paid, cancelled] = [counted(seen, 'orders_paid'), counted(seen, 'orders_cancelled')];
    return [
      ...nobodyRefused(ended),
      ['shoppers get through', seen.accepted > 0 && paid > 0 && cancelled > 0],
      [
        `${paid} orders were paid, not ${stored.paid}`,
        isWithin(stored.paid, { least: paid, unseen }),
      ],
      [
        `${cancelled} orders were cancelled, not ${stored.cancelled}`,
        isWithin(stored.cancelled, { least: cancelled, unseen }),
      ],
    ];
  },
};

const holdAndLapse: Scenario = {
  name: 'hold-and-lapse',
  summary: `orders lapse after ${HOLD_SECONDS} s unless they are paid, and are sold again`,
  rate: 1000,
  quick: { rate: 100, seconds: 8 },
  due: steady,
  ground: ({ rate }) => ({
    products: 1,
    stock: rate,
    customers: CUSTOMERS,
    env: { SHARDS: '1', HOLD_TTL_SECONDS: `${HOLD_SECONDS}` },
  }),
  facts: ({ seen, stored, ground }) => {
    const { orders, paid, expired, unitsLeft } = stored;
    return [
      [`units are sold again: ${orders} of ${ground.stock}`, orders > 1.5 * ground.stock],
      [`${orders} orders are paid or lapsed: ${paid}, ${expired}`, orders === paid + expired],
      [`what is not paid is back: ${unitsLeft}`, unitsLeft === ground.stock - paid],
      ['somebody is refused meanwhile', seen.refused > 0],
      [
        'nobody paid who was not told so',
        paid <= counted(seen, 'orders_paid') + seen.stepsDeclined + seen.unseen,
      ],
    ];
  },
};

export const SCENARIOS: readonly Scenario[] = [
  flashSale,
  doorsOpen,
  hotProduct,
  soldOutStorm,
  zipf,
  carts,
  retryStorm,
  overload,
  mixedShop,
  holdAndLapse,
];
