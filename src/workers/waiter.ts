/** A request of this process that waits for its answer. */
import type {
  ChangeStatusOutcome,
  ChangeStockOutcome,
  EditProductOutcome,
  PlaceOrderOutcome,
} from '../domain/outcome.ts';
import type { PlaceOrder } from '../domain/ports.ts';
import type {
  ChangeStatusCommand,
  ChangeStockCommand,
  EditProductCommand,
  PlaceCommand,
} from '../domain/wire.ts';

interface WaiterBase {
  readonly shard: number;
  /** When it was received; of a clock that is never set, milliseconds. */
  readonly since: number;
  /** It was posted to an owner that died. */
  moved: boolean;
}

export interface PlaceWaiter extends WaiterBase {
  readonly kind: 'place';
  readonly command: PlaceCommand;
  readonly metadata: PlaceOrder['metadata'];
  readonly resolve: (outcome: PlaceOrderOutcome) => void;
}

export type Waiter =
  | PlaceWaiter
  | (WaiterBase & {
      readonly kind: 'change-stock';
      readonly command: ChangeStockCommand;
      readonly resolve: (outcome: ChangeStockOutcome) => void;
    })
  | (WaiterBase & {
      readonly kind: 'edit-product';
      readonly command: EditProductCommand;
      readonly resolve: (outcome: EditProductOutcome) => void;
    })
  | (WaiterBase & {
      readonly kind: 'change-status';
      readonly command: ChangeStatusCommand;
      readonly resolve: (outcome: ChangeStatusOutcome) => void;
    });
