/** What a server itself says of its orders: how many it answered in which way, and its batches. */
import { adminToken } from './tokens.ts';

/** As many as one answer holds. */
const BATCHES = 100;
const ORDERS_LINE =
  /^hedonify_orders_total\{outcome="(?<outcome>\w*)",code="(?<code>[\w-]*)"\} (?<count>\d+)$/gm;

/** Answers to POST /orders by outcome and, of those that have one, code: `refused out-of-stock`. */
export async function orderCounts(serverUrl: string): Promise<ReadonlyMap<string, number>> {
  const text = await textOf(`${serverUrl}/metrics`);
  return new Map(
    [...text.matchAll(ORDERS_LINE)].map(({ groups }) => [
      `${groups?.['outcome'] ?? ''} ${groups?.['code'] ?? ''}`.trim(),
      Number(groups?.['count']),
    ]),
  );
}

export interface SeenBatch {
  readonly orders: number;
  /** Milliseconds from sending it to the COMMIT's tag. */
  readonly totalMs: number;
}

/** The last batches that committed, of all shards. */
export async function lastBatches(serverUrl: string): Promise<SeenBatch[]> {
  const text = await textOf(`${serverUrl}/admin/batches?limit=${BATCHES}`);
  const { items } = JSON.parse(text) as {
    readonly items: readonly {
      readonly outcome: string;
      readonly orders: number;
      readonly total_ms: number;
    }[];
  };
  return items
    .filter(({ outcome }) => outcome === 'committed')
    .map(({ orders, total_ms: totalMs }) => ({ orders, totalMs }));
}

async function textOf(url: string): Promise<string> {
  const response = await fetch(url, { headers: { authorization: `Bearer ${adminToken()}` } });
  if (!response.ok) throw new Error(`${url} was answered with ${response.status}`);
  return await response.text();
}
