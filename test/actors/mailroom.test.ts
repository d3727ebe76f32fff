import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Mailroom } from '../../src/actors/mailroom.ts';
import type { WaitingRequest } from '../../src/actors/waiting.ts';
import { isKind } from '../../src/actors/waiting.ts';
import { parseOrderId, parseUserId } from '../../src/domain/ids.ts';
import { LIMITS, product, productId } from './shard-harness.ts';

const PRODUCTS = 4;

function waitingFor(n: number, products: readonly number[]): WaitingRequest {
  const id = parseOrderId(`00000000-0000-4000-8000-${String(n).padStart(12, '0')}`);
  const userId = parseUserId('00000000-0000-4000-8000-000000000000');
  if (id === undefined || userId === undefined) throw new Error('not an id');
  const lines = products.map((number) => ({ productId: productId(number), quantity: 1 }));
  const command = {
    kind: 'place',
    n,
    id,
    requestHash: '',
    keyed: false,
    receivedAt: n,
    traceparent: null,
    userId,
    lines,
    otherShards: null,
    reference: null,
    metadata: null,
    cart: null,
  } as const;
  return { command, from: 0, lines, done: false, holdsPlace: false };
}

type Action =
  | { readonly type: 'admit'; readonly products: readonly number[] }
  | { readonly type: 'serve'; readonly turns: number }
  | { readonly type: 'load'; readonly ids: number }
  /** The oldest commands run out of time. */
  | { readonly type: 'shed'; readonly oldest: number };

const someProducts = fc
  .uniqueArray(fc.integer({ min: 1, max: PRODUCTS }), { minLength: 1, maxLength: 3 })
  .map((numbers) => numbers.toSorted((a, b) => a - b));
const actions = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.record({ type: fc.constant('admit' as const), products: someProducts }) },
    { weight: 3, arbitrary: fc.record({ type: fc.constant('serve' as const), turns: fc.integer({ min: 1, max: 3 }) }) },
    { weight: 2, arbitrary: fc.record({ type: fc.constant('load' as const), ids: fc.integer({ min: 1, max: 3 }) }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant('shed' as const), oldest: fc.integer({ min: 0, max: 2 }) }) },
  ), // prettier-ignore
  { maxLength: 60, size: 'max' },
);

class Floor {
  readonly room = new Mailroom(LIMITS);
  readonly admitted: WaitingRequest[] = [];
  readonly served: WaitingRequest[] = [];
  readonly shed: WaitingRequest[] = [];

  run(action: Action): void {
    if (action.type === 'admit') this.#admit(action.products);
    else if (action.type === 'load') this.load(action.ids);
    else if (action.type === 'shed') this.#shedOldest(action.oldest);
    else for (let turn = 0; turn < action.turns; turn += 1) this.serve();
    expect(this.room.undecided).toBe(this.admitted.length - this.served.length - this.shed.length);
  }

  /** False when there was nothing to serve. */
  serve(): boolean {
    const turn = this.room.next();
    if (turn === null) return false;
    const { waiting, lines } = turn;
    if (!isKind(waiting, 'place')) throw new Error('no stock change was admitted');
    expect(lines.map(({ line }) => line)).toEqual(waiting.command.lines);
    this.served.push(waiting);
    this.room.releasePlace(waiting);
    this.room.endTurn(turn);
    return true;
  }

  /** Loads up to `ids` products; false when none waits. */
  load(ids: number): boolean {
    const wanted = this.room.actors.startLoad(ids);
    if (wanted === null) return false;
    const found = Array.from({ length: PRODUCTS }, (_, i) => product(i + 1));
    const loaded = this.room.actors.endLoad(
      found.filter((state) => wanted.includes(state.id)),
      () => false,
    );
    for (const actor of loaded) this.room.joinRound(actor);
    return true;
  }

  #admit(products: readonly number[]): void {
    const waiting = waitingFor(this.admitted.length, products);
    expect(this.room.admit(waiting)).toBe(true);
    this.admitted.push(waiting);
  }

  #shedOldest(count: number): void {
    const ended = new Set([...this.served, ...this.shed]);
    const last = this.admitted.filter((waiting) => !ended.has(waiting))[count];
    if (last === undefined) return;
    for (const waiting of this.room.takeArrivedUntil(last.command.receivedAt)) {
      if (isKind(waiting, 'place')) this.shed.push(waiting);
      this.room.releasePlace(waiting);
    }
  }
}

function ofProduct(commands: readonly WaitingRequest[], number: number): number[] {
  const id = productId(number);
  return commands
    .filter(
      ({ command }) =>
        command.kind === 'place' && command.lines.some((line) => line.productId === id),
    ) // prettier-ignore
    .map(({ command }) => command.n);
}

it('serves every product in order of arrival, and everybody once, whenever products load (I7)', () => {
  let severalLines = 0;
  fc.assert(
    fc.property(actions, (run) => {
      const floor = new Floor();
      for (const action of run) floor.run(action);
      while (floor.load(1));
      while (floor.serve());
      const ended = [...floor.served, ...floor.shed].map(({ command }) => command.n);
      expect(ended.toSorted((a, b) => a - b)).toEqual(floor.admitted.map((_, n) => n));
      expect(floor.room.undecided).toBe(0);
      for (let number = 1; number <= PRODUCTS; number += 1) {
        const order = ofProduct(floor.served, number);
        expect(order).toEqual(order.toSorted((a, b) => a - b));
      }
      severalLines += floor.served.filter((w) => w.command.kind === 'place' && w.command.lines.length > 1).length; // prettier-ignore
    }),
    { numRuns: 500 },
  );
  expect(severalLines).toBeGreaterThan(100);
});
