/** Entity tags of products. Source: RFC 9110, sections 8.8.3 and 13.1. */
import type { Product } from '../domain/product.ts';

const TAG = '(?:W/)?"\\d{1,15}(?:-\\d{1,10})?"';
/** The form of If-Match: `*`, or tags, of which the version counts: `"3"` as well as `W/"3-17"`. */
export const IF_MATCH_TEXT = new RegExp(`^(?:\\*|${TAG}(?:[ \\t]*,[ \\t]*${TAG})*)$`);
const VERSION = /"(\d+)/g;

/** Weak: the time of the last change is not in it, and units that came back look as before. */
export function productTag({ version, available }: Product): string {
  return `W/"${version}-${available}"`;
}

/**
 * The versions that an edit is for; null = whichever.
 *
 * A weak tag never matches by the letter of the RFC. Here its version does: sales change the rest
 * of it every millisecond and must not stand in the way of an edit.
 *
 * @param header - Undefined, or of the form `IF_MATCH_TEXT`.
 */
export function matchedVersions(header: string | undefined): readonly number[] | null {
  if (header === undefined || header === '*') return null;
  return [...header.matchAll(VERSION)].map(([, version]) => Number(version));
}

/** Whether If-None-Match names the tag: who asks has this representation already. */
export function isUnchanged(header: string | undefined, tag: string): boolean {
  if (header === undefined) return false;
  const known = header.split(',').map((text) => text.trim());
  return known.some((text) => text === '*' || weak(text) === tag);
}

function weak(tag: string): string {
  return tag.startsWith('W/') ? tag : `W/${tag}`;
}
