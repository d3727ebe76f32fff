/** What ten million stored orders cost the next one: by itself, since writing them takes longest. */
import { HOT_PRODUCT } from '../bench-database.ts';
import { measureGrowth } from '../growth.ts';
import type { Suite } from '../suite.ts';

const HOT = [[HOT_PRODUCT]];

export const suite: Suite = {
  name: 'table-size',
  summary: 'cost of an order by stored orders: none, 1 M and 10 M (10 GB of disk)',
  minutes: 40,
  defaults: { rounds: 7, seconds: 4 },
  run: (run) =>
    measureGrowth(run, [
      {
        name: 'stored',
        by: 'stored orders',
        members: [
          { name: 'none at first', orders: HOT },
          { name: '1,000,000', orders: HOT, history: 1_000_000 },
          { name: '10,000,000', orders: HOT, history: 10_000_000 },
        ],
      },
    ]),
};
