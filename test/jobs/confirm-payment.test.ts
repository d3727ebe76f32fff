import { describe, expect, test } from 'vitest';
import type { OrderStatus, PaymentStatus } from '../../src/domain/order.ts';
import type { PaymentResult } from '../../src/domain/payment.ts';
import { confirmPayment } from '../../src/jobs/confirm-payment.ts';
import { FakeShop, orderId, paymentId } from './fake-payments.ts';

function setUp() {
  const shop = new FakeShop(() => 0);
  const deps = { gateway: shop, payments: shop };
  const confirm = (n: number, result: PaymentResult) =>
    confirmPayment(deps, { paymentId: paymentId(n), result });
  return { shop, confirm };
}

describe('a payment that succeeded', () => {
  test('pays its order through its owner, as the service itself and without a key', async () => {
    const { shop, confirm } = setUp();
    shop.add(1, { attempt: 3 });
    expect(await confirm(1, 'succeeded')).toBe('settled');
    expect(shop.orderStatus(1)).toBe('PAID');
    expect(shop.stateOf(1)).toBe('SUCCEEDED');
    expect(shop.commands).toEqual([
      {
        author: null,
        idempotencyKey: null,
        orderId: orderId(1),
        productIds: [],
        from: ['WAITING_PAYMENT'],
        to: 'PAID',
        detail: { kind: 'payment', paymentId: paymentId(1) },
        reason: 'payment 3 succeeded',
        traceparent: null,
      },
    ]);
  });

  test('takes effect once, however often and at the same time it is said', async () => {
    const { shop, confirm } = setUp();
    shop.add(1);
    await Promise.all(Array.from({ length: 5 }, () => confirm(1, 'succeeded')));
    expect(await confirm(1, 'succeeded')).toBe('settled');
    expect(shop.stateOf(1)).toBe('SUCCEEDED');
  });

  test.each<OrderStatus>(['EXPIRED', 'CANCELLED', 'PAID', 'SHIPPING', 'COMPLETED'])(
    'too late, when the order is %s, is given back',
    async (status) => {
      const { shop, confirm } = setUp();
      shop.add(1);
      shop.setOrder(1, status);
      expect(await confirm(1, 'succeeded')).toBe('settled');
      expect(shop.stateOf(1)).toBe('PENDING refund due');
      expect(shop.orderStatus(1)).toBe(status);
    },
  );

  test('after all, when it was said to have failed, is given back', async () => {
    const { shop, confirm } = setUp();
    shop.add(1);
    await confirm(1, 'failed');
    expect(await confirm(1, 'succeeded')).toBe('settled');
    expect(shop.stateOf(1)).toBe('FAILED refund due');
    expect(shop.orderStatus(1)).toBe('WAITING_PAYMENT');
  });

  test('is given back when it was said to have failed while the owner decided', async () => {
    const { shop, confirm } = setUp();
    shop.add(1);
    shop.beforeDecision = () => void shop.fail(paymentId(1));
    expect(await confirm(1, 'succeeded')).toBe('settled');
    expect(shop.stateOf(1)).toBe('FAILED refund due');
  });

  test.each([
    { type: 'shed', code: 'overloaded' },
    { type: 'shed', code: 'database-unavailable' },
    { type: 'unknown', orderId: null },
    // The owner looked at the row when it was another one.
    { type: 'not-changeable', status: 'WAITING_PAYMENT' },
  ] as const)('is not lost when the owner answers %j', async (outcome) => {
    const { shop, confirm } = setUp();
    shop.add(1);
    shop.sheds.push(outcome);
    expect(await confirm(1, 'succeeded')).toBe('try-again');
    expect(shop.stateOf(1)).toBe('PENDING due');
    expect(await confirm(1, 'succeeded')).toBe('settled');
    expect(shop.stateOf(1)).toBe('SUCCEEDED');
  });

  test('won when the answer is lost but the commit is not', async () => {
    const { shop, confirm } = setUp();
    shop.add(1);
    const decide = shop.changeStatus.bind(shop);
    shop.changeStatus = async (command) => {
      await decide(command);
      return { type: 'unknown', orderId: null };
    };
    expect(await confirm(1, 'succeeded')).toBe('settled');
    expect(shop.stateOf(1)).toBe('SUCCEEDED');
  });
});

describe('a payment that failed', () => {
  test('leaves the order waiting for another one', async () => {
    const { shop, confirm } = setUp();
    shop.add(1);
    expect(await confirm(1, 'failed')).toBe('settled');
    expect(await confirm(1, 'failed')).toBe('settled');
    expect(shop.stateOf(1)).toBe('FAILED due');
    expect(shop.orderStatus(1)).toBe('WAITING_PAYMENT');
    expect(shop.commands).toEqual([]);
  });

  test.each<[PaymentStatus, boolean, string]>([
    ['SUCCEEDED', false, 'SUCCEEDED'],
    ['SUCCEEDED', true, 'SUCCEEDED refund'],
    ['REFUNDED', false, 'REFUNDED'],
    ['PENDING', true, 'PENDING refund'],
  ])('after it was %s (refund due %s) changes nothing', async (status, refundDue, state) => {
    const { shop, confirm } = setUp();
    shop.add(1, { status, refundDue, dueAt: null });
    expect(await confirm(1, 'failed')).toBe('settled');
    expect(shop.stateOf(1)).toBe(state);
  });
});

test.each<[PaymentStatus, boolean]>([
  ['SUCCEEDED', false],
  ['SUCCEEDED', true],
  ['REFUNDED', false],
  ['PENDING', true],
  ['FAILED', true],
])('success of one that is %s (refund due %s) changes nothing', async (status, refundDue) => {
  const { shop, confirm } = setUp();
  shop.add(1, { status, refundDue });
  const before = shop.stateOf(1);
  expect(await confirm(1, 'succeeded')).toBe('settled');
  expect(shop.stateOf(1)).toBe(before);
  expect(shop.commands).toEqual([]);
});

test('news of a payment that nobody knows changes nothing', async () => {
  const { shop, confirm } = setUp();
  expect(await confirm(9, 'succeeded')).toBe('unknown-payment');
  expect(await confirm(9, 'failed')).toBe('unknown-payment');
  expect(shop.stateOf(9)).toBe('none');
  expect(shop.commands).toEqual([]);
});
