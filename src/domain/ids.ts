/**
 * Branded identifiers and the partition map.
 *
 * Brands are made only at the edge (`parseUuid` and its callers) and inside SQL row readers; past
 * that point the compiler keeps a product id from being passed where an order id belongs.
 */
declare const brand: unique symbol;
type Branded<T, B extends string> = T & { readonly [brand]: B };

/** Lower-case UUID text of 36 characters. */
export type ProductId = Branded<string, 'product'>;
export type OrderId = Branded<string, 'order'>;
export type UserId = Branded<string, 'user'>;
export type CartId = Branded<string, 'cart'>;
export type PaymentId = Branded<string, 'payment'>;
export type WebhookId = Branded<string, 'webhook'>;
export type DeliveryId = Branded<string, 'delivery'>;
/** One incarnation of one shard thread: `owners.id`. Never reused. */
export type OwnerId = Branded<number, 'owner'>;
/** 0 to PARTITIONS - 1. */
export type PartitionId = Branded<number, 'partition'>;

/** Fixed for the life of a database: `partitions` has exactly this many rows. */
export const PARTITIONS = 256;

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** The canonical lower-case form, or undefined when the text is not a UUID. */
function parseUuid(text: string): string | undefined {
  return UUID.test(text) ? text.toLowerCase() : undefined;
}

export function parseProductId(text: string): ProductId | undefined {
  return parseUuid(text) as ProductId | undefined;
}

export function parseOrderId(text: string): OrderId | undefined {
  return parseUuid(text) as OrderId | undefined;
}

export function parseUserId(text: string): UserId | undefined {
  return parseUuid(text) as UserId | undefined;
}

export function parseCartId(text: string): CartId | undefined {
  return parseUuid(text) as CartId | undefined;
}

export function parseWebhookId(text: string): WebhookId | undefined {
  return parseUuid(text) as WebhookId | undefined;
}

export function parseDeliveryId(text: string): DeliveryId | undefined {
  return parseUuid(text) as DeliveryId | undefined;
}

/**
 * The partition of a product: the last byte of its id.
 *
 * Not a hash: the last byte of a UUIDv4, v7 or v8 is random already, SQL can compute the same with
 * one `get_byte`, and a shop can see from an id which partition a product lives in.
 */
export function partitionOf(product: ProductId): PartitionId {
  return Number.parseInt(product.slice(34), 16) as PartitionId;
}

/** The shard of this node that owns a partition; every node deals its partitions round-robin. */
export function shardOf(partition: PartitionId, shards: number): number {
  return partition % shards;
}

/** Those of the lines whose products this shard owns. */
export function linesOfShard<L extends { readonly productId: ProductId }>(
  lines: readonly L[],
  { shard, shards }: { readonly shard: number; readonly shards: number },
): readonly L[] {
  return lines.filter(({ productId }) => shardOf(partitionOf(productId), shards) === shard);
}
