/**
 * The real HTTP edge with no engine behind it: authentication, validation, identity of the request
 * and our answer, decided on the spot. Prints its URL when ready.
 */
import { effectId } from '../../src/db/effect-id.ts';
import { canonicalLines, orderHash } from '../../src/workers/request-identity.ts';
import { startEdge } from './edge.ts';

const HOLD_MS = 900_000;
let sequence = 0;

await startEdge({
  placeOrder: ({ userId, idempotencyKey, lines: asked, reference, metadata }) => {
    const lines = canonicalLines(asked);
    orderHash({ userId, lines, reference, metadata: null });
    const items = lines.map((line) => {
      sequence += 1;
      return { ...line, name: 'Roof', unitPrice: 1999, sequence, shippedAt: null, tracking: null };
    });
    const createdAt = Date.now();
    const order = {
      id: effectId(userId, idempotencyKey ?? ''),
      userId,
      status: 'WAITING_PAYMENT' as const,
      items,
      currency: 'USD',
      total: items.reduce((sum, { unitPrice, quantity }) => sum + unitPrice * quantity, 0),
      reference,
      metadata,
      payments: [],
      createdAt,
      expiresAt: createdAt + HOLD_MS,
    };
    return Promise.resolve({ type: 'accepted', replayed: false, order });
  },
});
