/**
 * Reads of a PromQL expression which series it asks for and which labels it counts on: enough to
 * tell a name that nobody exports, not enough to tell whether the expression makes sense, which is
 * promtool's part. Grafana's variables may stand where PromQL has a string or a duration.
 */

/** A series that an expression asks for. */
export interface Selector {
  readonly metric: string;
  /** With the values that are plain words; a pattern's alternatives each. */
  readonly matchers: readonly Matcher[];
  /** Labels that an aggregation around it keeps or drops, or that it is joined by. */
  readonly grouping: readonly string[];
}

interface Matcher {
  readonly label: string;
  /** Null for a variable or a pattern that is more than a list of words. */
  readonly values: readonly string[] | null;
}

interface Token {
  readonly kind: 'name' | 'string' | 'number' | 'duration' | 'sign';
  readonly text: string;
}

const TOKEN =
  /(?<space>\s+|#[^\n]*)|(?<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?<duration>\[[^\]]*\])|(?<number>(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?[a-z]*)|(?<name>[a-zA-Z_:][\w:]*)|(?<sign>[=!]~|[=!<>]=|[-+*/%^<>=(){},@])/y;
const GROUPING = new Set(['by', 'without', 'on', 'ignoring', 'group_left', 'group_right']);
const JOINING = new Set(['on', 'ignoring', 'group_left', 'group_right']);
const WORDS = new Set(['and', 'or', 'unless', 'offset', 'bool', 'atan2', 'inf', 'nan']);

/** @throws Error at a character that no PromQL has */
export function tokenize(expression: string): Token[] {
  const tokens: Token[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < expression.length) {
    const at = TOKEN.lastIndex;
    const groups = TOKEN.exec(expression)?.groups;
    if (groups === undefined) throw new Error(`no PromQL at "${expression.slice(at, at + 20)}"`);
    for (const kind of ['string', 'duration', 'number', 'name', 'sign'] as const) {
      const text = groups[kind];
      if (text !== undefined) tokens.push({ kind, text });
    }
  }
  return tokens;
}

/** @throws Error when parentheses do not match, or a character is none of PromQL's */
export function readSelectors(expression: string): Selector[] {
  return new Reader(tokenize(expression)).read();
}

interface Found {
  readonly metric: string;
  readonly at: number;
  readonly matchers: readonly Matcher[];
}

class Reader {
  readonly #tokens: readonly Token[];
  readonly #found: Found[] = [];
  readonly #groupings: { labels: readonly string[]; from: number; to: number }[] = [];

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  read(): Selector[] {
    for (let at = 0; at < this.#tokens.length; at += 1) at = this.#step(at);
    return this.#found.map(({ metric, at, matchers }) => ({
      metric,
      matchers,
      grouping: this.#groupings
        .filter(({ from, to }) => from <= at && at <= to)
        .flatMap(({ labels }) => labels),
    }));
  }

  /** Reads what begins there; returns where it ends. */
  #step(at: number): number {
    const token = this.#tokens[at];
    if (token?.text === '(') this.#closing(at);
    if (token?.text === '{') throw new Error('a selector without a name is asked for too much');
    if (token?.kind !== 'name' || WORDS.has(token.text.toLowerCase())) return at;
    if (GROUPING.has(token.text)) return this.#grouping(at);
    const next = this.#text(at + 1);
    if (next === '(' || next === 'by' || next === 'without') return at;
    const end = next === '{' ? this.#end(at + 1, '}') : at;
    const matchers = next === '{' ? this.#matchers(at + 2, end) : [];
    this.#found.push({ metric: token.text, at, matchers });
    return end;
  }

  #text(at: number): string | undefined {
    return this.#tokens[at]?.text;
  }

  #end(at: number, sign: string): number {
    const end = this.#tokens.findIndex(({ text }, index) => index > at && text === sign);
    if (end === -1) throw new Error(`${sign} is missing`);
    return end;
  }

  /** Of the parenthesis that opens there. */
  #closing(at: number): number {
    let depth = 0;
    for (let index = at; index < this.#tokens.length; index += 1) {
      if (this.#text(index) === '(') depth += 1;
      if (this.#text(index) === ')') depth -= 1;
      if (depth === 0) return index;
    }
    throw new Error(') is missing');
  }

  /** `by (a, b) (...)`, `(...) by (a, b)` or `on (a)`, which concerns both sides. */
  #grouping(at: number): number {
    if (this.#text(at + 1) !== '(') return at;
    const end = this.#end(at + 1, ')');
    const labels = this.#tokens.slice(at + 2, end).flatMap(({ kind, text }) => {
      return kind === 'name' ? [text] : [];
    });
    if (JOINING.has(this.#text(at) ?? '')) {
      this.#groupings.push({ labels, from: 0, to: this.#tokens.length });
    } else if (this.#text(at - 1) === ')') {
      this.#groupings.push({ labels, from: this.#opening(at - 1), to: at - 1 });
    } else {
      this.#groupings.push({ labels, from: end + 1, to: this.#closing(end + 1) });
    }
    return end;
  }

  /** Of the parenthesis that closes there. */
  #opening(at: number): number {
    let depth = 0;
    for (let index = at; index >= 0; index -= 1) {
      if (this.#text(index) === ')') depth += 1;
      if (this.#text(index) === '(') depth -= 1;
      if (depth === 0) return index;
    }
    throw new Error('( is missing');
  }

  #matchers(from: number, to: number): Matcher[] {
    const matchers: Matcher[] = [];
    for (let at = from; at < to; at += 1) {
      const [label, sign, value] = this.#tokens.slice(at, at + 3);
      if (label?.kind !== 'name' || sign === undefined || value?.kind !== 'string') continue;
      const words = value.text.slice(1, -1).split(sign.text.endsWith('~') ? '|' : '\0');
      const plain = words.every((word) => /^[\w-]*$/.test(word));
      matchers.push({ label: label.text, values: plain ? words : null });
      at += 2;
    }
    return matchers;
  }
}
