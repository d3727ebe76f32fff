/**
 * The gateway as requests see it while tracing is on: what a traced one asked, and how that ended,
 * becomes a span. An order that was accepted gets its spans from its batch instead (order-spans.ts),
 * which knows when it was decided and when committed.
 */
import type { Tracer } from '@opentelemetry/api';
import type { OrderId, UserId } from '../domain/ids.ts';
import type {
  ChangeStatusOutcome,
  ChangeStockOutcome,
  EditProductOutcome,
  PlaceOrderOutcome,
} from '../domain/outcome.ts';
import type {
  ChangeStatus,
  ChangeStock,
  EditProduct,
  OrderGateway,
  PlaceOrder,
} from '../domain/ports.ts';
import { traceQuestion } from './order-spans.ts';

type Outcome = PlaceOrderOutcome | ChangeStatusOutcome | ChangeStockOutcome | EditProductOutcome;

interface Asked {
  readonly name: string;
  readonly traceparent: string;
  /** Milliseconds since the epoch. */
  readonly start: number;
}

export class TracedGateway implements OrderGateway {
  readonly #gateway: OrderGateway;
  readonly #tracer: Tracer;

  constructor(gateway: OrderGateway, tracer: Tracer) {
    this.#gateway = gateway;
    this.#tracer = tracer;
  }

  placeOrder(request: PlaceOrder): Promise<PlaceOrderOutcome> {
    const answer = this.#gateway.placeOrder(request);
    return this.#watch('decide order', request, answer);
  }

  changeStock(request: ChangeStock): Promise<ChangeStockOutcome> {
    const answer = this.#gateway.changeStock(request);
    return this.#watch('change stock', request, answer);
  }

  editProduct(request: EditProduct): Promise<EditProductOutcome> {
    const answer = this.#gateway.editProduct(request);
    return this.#watch('edit product', request, answer);
  }

  changeStatus(request: ChangeStatus): Promise<ChangeStatusOutcome> {
    const answer = this.#gateway.changeStatus(request);
    return this.#watch('change order status', request, answer);
  }

  unsettledCustomer(id: OrderId): UserId | undefined {
    return this.#gateway.unsettledCustomer(id);
  }

  /** Most requests are not traced: theirs is the gateway's own promise. */
  #watch<T extends Outcome>(
    name: string,
    { traceparent }: { readonly traceparent: string | null },
    answer: Promise<T>,
  ): Promise<T> {
    if (traceparent === null) return answer;
    return this.#tell({ name, traceparent, start: Date.now() }, answer);
  }

  async #tell<T extends Outcome>(asked: Asked, answer: Promise<T>): Promise<T> {
    const outcome = await answer;
    if (outcome.type !== 'accepted' || outcome.replayed) {
      traceQuestion(this.#tracer, {
        ...asked,
        end: Date.now(),
        outcome: outcome.type === 'accepted' ? 'replayed' : outcome.type,
        code: 'code' in outcome ? outcome.code : null,
      });
    }
    return outcome;
  }
}
