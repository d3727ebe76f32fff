import { describe, expect, test } from 'vitest';
import { OrderAccount } from '../../bench/order-account.ts';

describe('the account of a benchmark', () => {
  test('stored orders are those answered, and at most those that were cut off beside', () => {
    const account = new OrderAccount();
    account.add({ accepted: 100, unheard: 8 });
    account.add({ accepted: 50, unheard: 0 });
    account.close('engine', 150);
    account.close('engine', 158);
    expect(() => account.close('engine', 149)).toThrow('engine: 149 orders are stored, 150 were');
    expect(() => account.close('engine', 159)).toThrow('and 8 may have been cut off');
  });
});
