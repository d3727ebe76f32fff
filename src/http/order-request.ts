/** What a body says of an order, beyond what its schema can check. */
import { METADATA_BYTES_MAX, QUANTITY_MAX } from '../domain/bounds.ts';
import { parseProductId } from '../domain/ids.ts';
import type { RequestedLine } from '../domain/order.ts';
import type { OrderItems, OrderNotes } from './order-schemas.ts';
import type { Issue } from './problem.ts';

/** The lines as they were sent, not summed. */
export function requestedLines(items: OrderItems): RequestedLine[] {
  const lines: RequestedLine[] = [];
  for (const item of items) {
    const productId = parseProductId(item.product_id);
    if (productId === undefined) throw new Error('a product id passed validation and is none');
    lines.push({ productId, quantity: item.quantity });
  }
  return lines;
}

/** The lines of a product will be summed; a sum past the bound of a line is refused here. */
export function quantitiesIssue(lines: readonly RequestedLine[]): Issue | undefined {
  if (lines.length === 1) return undefined;
  const sums = new Map<string, number>();
  for (const [index, line] of lines.entries()) {
    const sum = (sums.get(line.productId) ?? 0) + line.quantity;
    if (sum > QUANTITY_MAX) {
      const message = `must not raise the units of this product above ${QUANTITY_MAX}`;
      return { path: `items[${index}].quantity`, message };
    }
    sums.set(line.productId, sum);
  }
  return undefined;
}

/** JSON Schema cannot count the bytes of an object. */
export function metadataIssue({ metadata }: OrderNotes): Issue | undefined {
  if (metadata === undefined || metadata === null) return undefined;
  if (Buffer.byteLength(JSON.stringify(metadata)) <= METADATA_BYTES_MAX) return undefined;
  return { path: 'metadata', message: `must be at most ${METADATA_BYTES_MAX} bytes as JSON` };
}
