import { z } from 'zod';

import { PAYMENT_STATUSES } from '../domain/order.ts';
import { PAYMENT_DELAY_MS_MAX, PAYMENT_SCENARIOS } from '../domain/payment.ts';
import { uuidSchema } from './shared-schemas.ts';

/** 38 characters of names and the longest scenario, 6 bytes each, and white space. */
export const PAY_ORDER_BYTES_MAX = 1_024;

/** The body of POST /orders/{id}/payment; null is also what no body at all is validated as. */
export const payOrderBody = z
  .strictObject({
    scenario: z
      .enum(PAYMENT_SCENARIOS)
      .nullish()
      .meta({ description: 'What the simulated provider does; `success` unless given.' }),
    delay_ms: z
      .int()
      .min(0)
      .max(PAYMENT_DELAY_MS_MAX)
      .nullish()
      .meta({ description: 'How long the simulated provider takes; 0 unless given.' }),
  })
  .nullable();
/** What `payOrderBody` accepts. */
export type PayOrderBody = z.infer<typeof payOrderBody>;

/** The JSON of a payment that was started. */
export const startedPaymentSchema = z.object({
  payment: z.object({
    id: uuidSchema,
    status: z.enum(PAYMENT_STATUSES),
    attempt: z.int().meta({ description: 'Counts from 1 per order.' }),
  }),
});
