/** How the cost of an order grows with products, customers, lines and a million stored orders. */
import { HOT_PRODUCT } from '../bench-database.ts';
import { measureGrowth } from '../growth.ts';
import type { Family } from '../growth.ts';
import { zipfRank } from '../k6/lib/zipf-rank.ts';
import { moreProduct } from '../more-products.ts';
import type { Suite } from '../suite.ts';

/** Different orders of one load: more than a load sends of most products. */
const ORDERS = 200_000;
const ORDERS_OF_LINES = 1000;
/** Products of the orders with several lines. */
const SHELF = 60;

const HOT = [[HOT_PRODUCT]];

function zipfOrders(products: number): string[][] {
  return Array.from({ length: ORDERS }, () => [moreProduct(zipfRank(products, Math.random))]);
}

function ordersOfLines(lines: number): string[][] {
  return Array.from({ length: ORDERS_OF_LINES }, () => {
    const places = new Set<number>();
    while (places.size < lines) places.add(1 + Math.floor(Math.random() * SHELF));
    return Array.from(places, moreProduct);
  });
}

function families(): Family[] {
  const zipf = (products: number) => ({ products, orders: zipfOrders(products) });
  const linesOf = (lines: number) => ({ products: SHELF, orders: ordersOfLines(lines) });
  return [
    {
      name: 'products',
      by: 'products in demand',
      members: [
        { name: 'one hot product', orders: HOT },
        { name: 'Zipf 1.0 over 1,000', ...zipf(1000) },
        { name: 'Zipf 1.0 over 100,000', ...zipf(100_000), bar: 0.8 },
      ],
    },
    {
      name: 'customers',
      by: 'customers',
      members: [
        { name: '1,000 customers', orders: HOT, customers: 1000 },
        { name: '100,000 customers', orders: HOT, customers: 100_000 },
      ],
    },
    {
      name: 'lines',
      by: `lines of an order, over ${SHELF} products`,
      members: [
        { name: '1 line', ...linesOf(1) },
        { name: '3 lines', ...linesOf(3) },
        { name: '10 lines', ...linesOf(10) },
        { name: '50 lines', ...linesOf(50) },
      ],
    },
    {
      name: 'stored',
      by: 'stored orders',
      members: [
        { name: 'none at first', orders: HOT },
        { name: '1,000,000', orders: HOT, history: 1_000_000 },
      ],
    },
  ];
}

export const suite: Suite = {
  name: 'growth',
  summary: 'cost of an order by products, customers, lines and 1 M stored orders',
  minutes: 12,
  defaults: { rounds: 7, seconds: 4 },
  run: (run) => measureGrowth(run, families()),
};
