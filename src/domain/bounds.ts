/**
 * Bounds of the public contract, in one place so that validation, the schema's CHECKs and the
 * arithmetic below cannot drift apart.
 */
export const LINES_MAX = 50;
/** Units of one product in one order. */
export const QUANTITY_MAX = 1_000_000;
/** Minor units of the currency. */
export const PRICE_AMOUNT_MAX = 100_000_000;
/** Units of one product in stock, and of one stock change. */
export const STOCK_MAX = 1_000_000_000;
export const PRODUCT_NAME_CHARS_MAX = 200;
/** Of a product; with its name and a reason it must fit into one row of the staging table. */
export const DESCRIPTION_CHARS_MAX = 1000;
/** Units per customer. */
export const CUSTOMER_LIMIT_MAX = 1_000_000;
export const REFERENCE_CHARS_MAX = 100;
/** Of a change of stock, and of a cancellation. */
export const REASON_CHARS_MAX = 200;
/** Of a parcel, as its carrier names it. */
export const TRACKING_CHARS_MAX = 100;
export const METADATA_PAIRS_MAX = 20;
/** Bytes of the metadata as JSON text in UTF-8. */
export const METADATA_BYTES_MAX = 2048;
export const IDEMPOTENCY_KEY_CHARS_MAX = 255;
export const REQUEST_ID_CHARS_MAX = 128;
export const PAGE_LIMIT_DEFAULT = 20;
export const PAGE_LIMIT_MAX = 100;

/** The largest total an order can have: exact in a double, so money is a plain `number` in code. */
export const ORDER_TOTAL_MAX = LINES_MAX * QUANTITY_MAX * PRICE_AMOUNT_MAX;
