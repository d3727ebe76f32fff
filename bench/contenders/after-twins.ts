import type { OrderId } from '../../src/domain/ids.ts';
import type { PlaceOrderOutcome } from '../../src/domain/outcome.ts';
import type { AskedOrder } from './asked-order.ts';

type Place = (asked: AskedOrder) => Promise<PlaceOrderOutcome>;

/**
 * A repeat that comes while the first request is under way waits for its end. For whoever does not
 * wait for locks: it would be told that all is sold out while its own twin takes the last unit.
 */
export function afterTwins(place: Place): Place {
  /** As many as requests under way. */
  const underWay = new Map<OrderId, Promise<void>>();
  return (asked) => {
    const placing = (underWay.get(asked.id) ?? Promise.resolve()).then(() => place(asked));
    const settle = () => {
      if (underWay.get(asked.id) === settled) underWay.delete(asked.id);
    };
    const settled: Promise<void> = placing.then(settle, settle);
    underWay.set(asked.id, settled);
    return placing;
  };
}
