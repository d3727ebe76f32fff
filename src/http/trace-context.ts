const VERSION_0 = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

/**
 * The traceparent header when it is well formed (W3C Trace Context, version 00), else null: a
 * malformed one is ignored, as the specification asks.
 */
export function traceparentOf(header: string | string[] | undefined): string | null {
  return typeof header === 'string' && VERSION_0.test(header) ? header : null;
}
