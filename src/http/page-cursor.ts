import type { Cursor } from '../domain/ports.ts';

/** 17 digits of microseconds reach the year 5138, inside PostgreSQL's range of timestamps. */
const DECODED = /^(\d{1,17})\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

/** The opaque text of a position in a list. */
export function encodeCursor(cursor: Cursor): string {
  return Buffer.from(`${cursor.createdAtUs}.${cursor.id}`, 'latin1').toString('base64url');
}

/** The position, or undefined when the text was not made by `encodeCursor`. */
export function decodeCursor(text: string): Cursor | undefined {
  const match = DECODED.exec(Buffer.from(text, 'base64url').toString('latin1'));
  const [, createdAtUs, id] = match ?? [];
  if (createdAtUs === undefined || id === undefined) return undefined;
  const cursor = { createdAtUs, id };
  return encodeCursor(cursor) === text ? cursor : undefined;
}
