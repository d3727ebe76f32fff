import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ProductId } from '../../src/domain/ids.ts';
import { ShardQuestions } from '../../src/workers/shard-questions.ts';
import type { Question } from '../../src/workers/shard-task.ts';

const PRODUCT = '10000000-0000-7000-8000-000000000001' as ProductId;

let posted: Question[];
let questions: ShardQuestions;

beforeEach(() => {
  vi.useFakeTimers();
  posted = [];
  questions = new ShardQuestions((question) => posted.push(question as Question));
});

afterEach(() => {
  // Whatever happened: nobody waits, and no timer is left.
  expect(questions.waiting).toBe(0);
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

describe('a question to a shard', () => {
  it('gets the reply that has its number, in whatever order they come', async () => {
    const replies = Promise.all([questions.ask('actor', PRODUCT), questions.ask('actors', { sort: 'rate', limit: 1 })]); // prettier-ignore
    expect(posted).toMatchObject([
      { type: 'inspect', ask: 'actor', query: PRODUCT },
      { type: 'inspect', ask: 'actors', query: { sort: 'rate', limit: 1 } },
    ]);
    questions.hear(posted[1]?.n ?? 0, []);
    questions.hear(posted[0]?.n ?? 0, null);
    expect(await replies).toEqual([null, []]);
  });

  it('that is never answered ends after a second, and a later reply finds nobody', async () => {
    const reply = questions.ask('actor', PRODUCT);
    vi.advanceTimersByTime(1000);
    expect(await reply).toBeUndefined();
    questions.hear(posted[0]?.n ?? 0, null);
  });

  it('that is answered twice has the first reply', async () => {
    const reply = questions.ask('actor', PRODUCT);
    questions.hear(posted[0]?.n ?? 0, null);
    questions.hear(posted[0]?.n ?? 0, undefined);
    expect(await reply).toBeNull();
  });

  it('ends with its shard, and none is asked after that', async () => {
    const replies = [1, 2].map(() => questions.ask('actor', PRODUCT));
    questions.close();
    expect(await Promise.all([...replies, questions.ask('actor', PRODUCT)])).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    expect(posted).toHaveLength(2);
  });

  it('beyond the bound is not asked (I9)', async () => {
    const replies = Array.from({ length: 1001 }, () => questions.ask('actor', PRODUCT));
    expect(posted).toHaveLength(1000);
    expect(await replies[1000]).toBeUndefined();
    for (const { n } of posted) questions.hear(n, null);
    expect(await replies[999]).toBeNull();
  });
});
