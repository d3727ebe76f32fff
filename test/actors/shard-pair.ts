/** Two shards whose messages travel when the test says so: product 1 is the home's, product 2 not. */
import type { OwnerId } from '../../src/domain/ids.ts';
import type { ProductState } from '../../src/domain/product.ts';
import { product, ShardHarness } from './shard-harness.ts';
import type { PlaceOptions } from './shard-harness.ts';

export const HOME = 10 as OwnerId;
export const HOLDER = 11 as OwnerId;
/** Product 1 (of shard 1, the home) and product 2 (of shard 0). */
export const BOTH: PlaceOptions = { lines: [[1, 1], [2, 2]], otherShards: [0] }; // prettier-ignore

export class Pair {
  readonly home: ShardHarness;
  readonly holder: ShardHarness;

  /** `terms`: of both products. */
  constructor(stocks: readonly [number, number] = [10, 10], terms: Partial<ProductState> = {}) {
    const products = stocks.map((stock, i) => product(i + 1, { ...terms, stock }));
    const shards = 2;
    this.home = new ShardHarness({ products, identity: { ownerId: HOME, shard: 1, shards } });
    this.holder = new ShardHarness({ products, identity: { ownerId: HOLDER, shard: 0, shards } });
    this.home.step({ type: 'peer', shard: 0, ownerId: HOLDER });
    this.holder.step({ type: 'peer', shard: 1, ownerId: HOME });
  }

  /** Delivers everything that was sent, until nothing is. */
  talk(): void {
    for (;;) {
      const toHolder = this.home.sends.splice(0).filter(({ to }) => to === HOLDER);
      const toHome = this.holder.sends.splice(0).filter(({ to }) => to === HOME);
      if (toHolder.length + toHome.length === 0) return;
      const messagesOf = (sends: typeof toHome) => sends.map(({ message }) => message);
      this.holder.step({ type: 'messages', from: HOME, messages: messagesOf(toHolder) });
      this.home.step({ type: 'messages', from: HOLDER, messages: messagesOf(toHome) });
    }
  }

  /** What each owner would sell now; an order for more than there is names it. */
  left(): (number | undefined)[] {
    return [this.home, this.holder].map((shard, i) => {
      const answer = shard.answer(shard.place({ lines: [[i + 1, 1000]] }));
      if (answer?.type !== 'refused') throw new Error('1000 units were sold');
      return answer.refusal.items[0]?.available;
    });
  }
}
