/**
 * Compares what a page shows with what happened. Ids, times and what the page shortens with `…`
 * differ from run to run: what such a text of the page stands for is learned where it stands first,
 * and has to be the same from then on.
 */
import { isDeepStrictEqual } from 'node:util';
import { LEFT_OUT } from './walk-page.ts';
import type { ShownMessage } from './walk-page.ts';

/** A request or an answer as it arrived. Names of headers are in lower case. */
export interface Message {
  readonly start: string;
  readonly headers: Readonly<Record<string, string>>;
  /** JSON; undefined = none. */
  readonly body: unknown;
}

/** Headers that a client acts on: a page that leaves one out is as wrong as one that invents it. */
export const HEADERS_TO_SHOW = ['Location', 'ETag', 'Retry-After', 'Idempotency-Replayed'] as const;

const UUID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}';
const TIME = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z`;
const SHORTENED = String.raw`[\w.+/-]*…[\w.+/=-]*`;
const CHANGING = new RegExp(`(${UUID})|(${TIME})|(${SHORTENED})`, 'g');

/** What texts of the page stand for in this run. */
export class Meanings {
  readonly #actual: Map<string, string>;
  readonly #shown: Map<string, string>;
  /** Addresses of the page and those of the run. */
  readonly #addresses: readonly (readonly [shown: string, actual: string])[];

  constructor(addresses: readonly (readonly [shown: string, actual: string])[], like?: Meanings) {
    this.#addresses = addresses;
    this.#actual = new Map(like === undefined ? [] : like.#actual);
    this.#shown = new Map(like === undefined ? [] : like.#shown);
  }

  copy(): Meanings {
    return new Meanings(this.#addresses, this);
  }

  /** Text of a command as it is sent. Ids and times that no answer showed stand for themselves. */
  actualOf(text: string): string {
    return this.withAddresses(text).replaceAll(CHANGING, (shown: string) => {
      const known = this.#actual.get(keyOf(shown));
      if (known !== undefined) return known;
      if (shown.includes(LEFT_OUT)) throw new Error(`no answer showed ${shown} before`);
      this.#learn(keyOf(shown), keyOf(shown));
      return shown;
    });
  }

  /** Text that arrived, as the page has called it so far. */
  shownOf(text: string): string {
    const known = this.#shown.get(text);
    if (known !== undefined) return known;
    return this.#addresses
      .reduce((done, [shown, actual]) => done.replaceAll(actual, shown), text)
      .replaceAll(CHANGING, (actual: string) => this.#shown.get(actual) ?? actual);
  }

  withAddresses(text: string): string {
    return this.#addresses.reduce((done, [shown, actual]) => done.replaceAll(shown, actual), text);
  }

  /** False = it stands for something else already. Two times may be equal by accident, ids not. */
  bind(shown: string, actual: string): boolean {
    const known = this.#actual.get(keyOf(shown));
    if (known !== undefined) return known === actual;
    if (!isTime(shown) && this.#shown.has(actual)) return false;
    this.#learn(keyOf(shown), actual);
    return true;
  }

  #learn(shown: string, actual: string): void {
    this.#actual.set(shown, actual);
    if (!this.#shown.has(actual)) this.#shown.set(actual, shown);
  }
}

/** A time is the same in every spelling. */
function keyOf(shown: string): string {
  return isTime(shown) ? new Date(shown).toISOString() : shown;
}

function isTime(text: string): boolean {
  return new RegExp(`^${TIME}$`).test(text);
}

/** What is not as shown, as sentences; `meanings` learns. */
export function differencesOf(
  shown: ShownMessage,
  actual: Message,
  meanings: Meanings,
): readonly string[] {
  return [
    ...inText({ at: 'the first line', shown: shown.start, actual: actual.start }, meanings),
    ...inHeaders(shown, actual, meanings),
    ...inJson({ at: 'body', shown: shown.body, actual: actual.body }, meanings),
  ];
}

interface Pair<T> {
  /** Where, as a path. */
  readonly at: string;
  readonly shown: T;
  readonly actual: T;
}

function inHeaders(shown: ShownMessage, actual: Message, meanings: Meanings): string[] {
  const names = new Set(shown.headers.map(([name]) => name.toLowerCase()));
  const missing = HEADERS_TO_SHOW.filter((name) => {
    const lower = name.toLowerCase();
    return lower in actual.headers && !names.has(lower);
  });
  return [
    ...missing.map((name) => `${name} is not shown`),
    ...shown.headers.flatMap(([name, text]) => {
      const value = actual.headers[name.toLowerCase()];
      if (value === undefined) return [`${name} is missing`];
      return inText({ at: name, shown: text, actual: value }, meanings);
    }),
  ];
}

function inJson({ at, shown, actual }: Pair<unknown>, meanings: Meanings): string[] {
  if (typeof shown === 'string' && typeof actual === 'string') {
    return inText({ at, shown, actual }, meanings);
  }
  if (Array.isArray(shown) && Array.isArray(actual)) {
    return inEntries({ at, shown, actual }, meanings);
  }
  if (isObject(shown) && isObject(actual)) return inMembers({ at, shown, actual }, meanings);
  return isDeepStrictEqual(shown, actual) ? [] : [isNot({ at, shown, actual })];
}

function inEntries({ at, shown, actual }: Pair<readonly unknown[]>, meanings: Meanings): string[] {
  const isPart = shown.at(-1) === LEFT_OUT;
  const entries = isPart ? shown.slice(0, -1) : shown;
  if (isPart ? entries.length >= actual.length : entries.length !== actual.length) {
    return [`${at} has ${actual.length} entries`];
  }
  return entries.flatMap((entry, n) =>
    inJson({ at: `${at}[${n}]`, shown: entry, actual: actual[n] }, meanings),
  );
}

function inMembers(
  { at, shown, actual }: Pair<Readonly<Record<string, unknown>>>,
  meanings: Meanings,
): string[] {
  const { [LEFT_OUT]: leftOut, ...members } = shown;
  const names = new Set([
    ...Object.keys(members),
    ...(leftOut === undefined ? Object.keys(actual) : []),
  ]);
  return [...names].flatMap((name) =>
    inJson({ at: `${at}.${name}`, shown: members[name], actual: actual[name] }, meanings),
  );
}

function inText({ at, shown, actual }: Pair<string>, meanings: Meanings): string[] {
  const expected = meanings.withAddresses(shown);
  const texts = [...expected.matchAll(CHANGING)];
  const pattern = expected
    .split(CHANGING)
    .filter((_, index) => index % 4 === 0)
    .map((literal) => literal.replaceAll(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`))
    .reduce((done, literal, n) => `${done}(${formOf(texts[n - 1])})${literal}`);
  const found = new RegExp(`^${pattern}$`).exec(actual);
  const fits =
    found !== null && texts.every(([text], n) => meanings.bind(text, found[n + 1] ?? ''));
  return fits ? [] : [isNot({ at, shown, actual })];
}

function formOf(match: RegExpExecArray | undefined): string {
  const [, id, time] = match ?? [];
  if (id !== undefined) return UUID;
  return time === undefined ? String.raw`\S+` : TIME;
}

function isNot({ at, shown, actual }: Pair<unknown>): string {
  return `${at} is ${JSON.stringify(actual)}, not ${JSON.stringify(shown)}`;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
