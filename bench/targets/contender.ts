/**
 * A contender behind the real HTTP edge. Arguments: NAME DATABASE_URL POOL_MAX [REDIS_URL]. Prints
 * its URL when ready; GET /metrics counts its answers under the engine's own name, apart from the
 * contender's code.
 */
import { AppError } from '../../src/domain/errors.ts';
import type { PlaceOrderOutcome } from '../../src/domain/outcome.ts';
import type { PlaceOrder } from '../../src/domain/ports.ts';
import { CONTENDERS } from '../contenders/catalogue.ts';
import { startEdge } from './edge.ts';

const [name, databaseUrl, poolMax, redisUrl = null] = process.argv.slice(2);
const contender = CONTENDERS.find((it) => it.name === name);
if (contender === undefined || databaseUrl === undefined || poolMax === undefined) {
  throw new Error('usage: contender.ts NAME DATABASE_URL POOL_MAX [REDIS_URL]');
}
const open = await contender.open({ databaseUrl, redisUrl, poolMax: Number(poolMax) });

/** By outcome: as many as there are kinds of it. */
const answers = new Map<string, number>();
let waiting = 0;

async function placeOrder(request: PlaceOrder): Promise<PlaceOrderOutcome> {
  waiting += 1;
  const outcome = await open.placeOrder(request).catch(shed);
  waiting -= 1;
  const kind = outcome.type === 'accepted' && outcome.replayed ? 'replayed' : outcome.type;
  answers.set(kind, (answers.get(kind) ?? 0) + 1);
  return outcome;
}

function shed(error: unknown): PlaceOrderOutcome {
  if (!(error instanceof AppError) || error.code !== 'database-unavailable') throw error;
  return { type: 'shed', code: error.code };
}

function renderMetrics(): string {
  const counts = [...answers].map(([kind, count]) => {
    return `hedonify_orders_total{outcome="${kind}",code=""} ${count}\n`;
  });
  const unfinished = waiting + (open.unwritten?.() ?? 0);
  return `hedonify_requests_waiting ${unfinished}\n${counts.join('')}`;
}

const app = await startEdge({ placeOrder, renderMetrics });
process.once('SIGTERM', () => {
  void app.close().then(open.stop);
});
