/** Imported by k6 and by Node: the seeded products and the scripts name them alike. */

/** Of the n-th product, from 0; its last byte counts up, so neighbours have different shards. */
export function productId(n: number): string {
  return `30000000-0000-7000-8000-${n.toString(16).padStart(12, '0')}`;
}
