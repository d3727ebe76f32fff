import { describe, expect, it } from 'vitest';
import { product, productId, ShardHarness, START_MS } from './shard-harness.ts';
import { BOTH, Pair } from './shard-pair.ts';

const OPENS = START_MS + 1000;
const CLOSES = START_MS + 2000;
const WINDOW = { saleStartsAt: OPENS, saleEndsAt: CLOSES };
const NOT_STARTED = { type: 'refused', refusal: { code: 'sale-not-started', startsAt: OPENS } };
const ENDED = { type: 'refused', refusal: { code: 'sale-ended' } };

describe('a sale', () => {
  it.each([
    ['a millisecond before its start', OPENS - 1, NOT_STARTED],
    ['at its start', OPENS, { type: 'accepted' }],
    ['in its last millisecond', CLOSES - 1, { type: 'accepted' }],
    ['at its end', CLOSES, ENDED],
  ])('%s is decided so (I6)', (_, now, answer) => {
    const shard = new ShardHarness({ products: [product(1, WINDOW)] });
    shard.now = now;
    const n = shard.place();
    for (const { no } of shard.batches) shard.commit(no);
    expect(shard.answer(n)).toMatchObject(answer);
  });

  it('is decided by the clock when the order leaves its mailbox, not when it came (I7)', () => {
    const shard = new ShardHarness({ products: [product(1, WINDOW), product(2, WINDOW)] });
    shard.holdLoads = true;
    shard.now = OPENS - 1;
    const early = shard.place();
    shard.now = OPENS;
    shard.finishLoad();
    expect(shard.answer(early)).toBeUndefined();
    expect(shard.batches[0]?.orders[0]?.order.createdAt).toBe(OPENS);
    shard.now = CLOSES - 1;
    const late = shard.place({ lines: [[2, 1]] });
    shard.now = CLOSES;
    shard.finishLoad();
    expect(shard.answer(late)).toMatchObject(ENDED);
  });

  it('that has closed keeps what was decided in time, however late the COMMIT is', () => {
    const shard = new ShardHarness({ products: [product(1, WINDOW)] });
    shard.now = CLOSES - 1;
    const n = shard.place({ key: 'k' });
    shard.abort(1, { type: 'passing' });
    shard.now = CLOSES + 500;
    shard.commit(2);
    const replay = shard.place({ key: 'k' });
    expect([n, replay].map((each) => shard.answer(each))).toMatchObject([
      { type: 'accepted', replayed: false },
      { type: 'accepted', replayed: true },
    ]);
  });

  it('of several lines starts with the last of them', () => {
    const later = { ...WINDOW, saleStartsAt: OPENS + 7 };
    const shard = new ShardHarness({ products: [product(1, WINDOW), product(2, later)] });
    const n = shard.place({ lines: [[1, 1], [2, 1]] }); // prettier-ignore
    expect(shard.answer(n)).toMatchObject({
      refusal: {
        startsAt: OPENS + 7,
        items: [{ productId: productId(1) }, { productId: productId(2) }],
      },
    });
  });

  it('of another shard is decided by the clock of that shard when the hold has its turn', () => {
    const pair = new Pair([10, 10], { saleStartsAt: null, saleEndsAt: CLOSES });
    pair.home.now = CLOSES - 1;
    pair.holder.now = CLOSES;
    const n = pair.home.place(BOTH);
    pair.talk();
    expect(pair.home.answer(n)).toMatchObject({
      refusal: { code: 'sale-ended', items: [{ productId: productId(2) }] },
    });
    expect(pair.home.batches).toEqual([]);
  });
});
