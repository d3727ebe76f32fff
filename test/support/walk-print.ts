/** What happened, as a page would show it: the text to paste when the page is wrong. */
import { HEADERS_TO_SHOW } from './walk-match.ts';
import type { Meanings, Message } from './walk-match.ts';
import { LEFT_OUT } from './walk-page.ts';

/** Columns of a block. */
const WIDTH = 104;
/** Members and headers whose text is long, or of no use to a reader. */
const SHORTENED = new Set([
  'token',
  'secret',
  'next_cursor',
  'request_id',
  'retry-after',
  'webhook-timestamp',
  'webhook-signature',
]);
/** Characters left at each end. */
const END_CHARS = 6;
/** Shorter ones are numbers that say something. */
const SHORTENED_CHARS_MIN = 8;

/** The message with the headers that a client acts on, and those in `names`. */
export function printed(
  { start, headers, body }: Message,
  meanings: Meanings,
  names: readonly string[] = [],
): string {
  const wanted = [...names, ...HEADERS_TO_SHOW.filter((name) => !names.includes(name))];
  const lines = wanted.flatMap((name) => {
    const value = headers[name.toLowerCase()];
    return value === undefined ? [] : [`${name}: ${textOf(name.toLowerCase(), value, meanings)}`];
  });
  const head = [start, ...lines].join('\n');
  if (body === undefined) return head;
  return `${head}\n\n${json(JSON.parse(JSON.stringify(body, member)), '')}`;

  function member(name: string, value: unknown): unknown {
    return typeof value === 'string' ? textOf(name, value, meanings) : value;
  }
}

function textOf(name: string, value: string, meanings: Meanings): string {
  const shown = meanings.shownOf(value);
  if (shown !== value || !SHORTENED.has(name) || value.length < SHORTENED_CHARS_MIN) return shown;
  const end = /^\d+$/.test(value) ? '' : value.slice(-END_CHARS);
  return `${value.slice(0, END_CHARS)}${LEFT_OUT}${end}`;
}

/** On one line where it fits; else members and entries fill lines. */
function json(value: unknown, indent: string): string {
  const line = oneLine(value);
  if (indent.length + line.length <= WIDTH || typeof value !== 'object' || value === null)
    return line;
  const inner = `${indent} `;
  const isList = Array.isArray(value);
  const parts = isList
    ? value.map((entry) => json(entry, inner))
    : Object.entries(value).map(([name, it]) => `"${name}": ${json(it, inner)}`);
  const lines: string[] = [];
  for (const part of parts) {
    const last = lines.at(-1);
    const fits =
      last !== undefined &&
      !`${last}${part}`.includes('\n') &&
      inner.length + last.length + part.length + 2 <= WIDTH;
    if (fits) lines[lines.length - 1] = `${last} ${part},`;
    else lines.push(`${part},`);
  }
  const text = lines.join(`\n${inner}`).slice(0, -1);
  return isList ? `[${text}]` : `{${text}}`;
}

function oneLine(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(oneLine).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value).map(([name, it]) => `"${name}": ${oneLine(it)}`);
  return `{${members.join(', ')}}`;
}
