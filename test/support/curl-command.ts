/**
 * The little of a shell that docs/api.md is written in. Whatever else a command uses is an error, so
 * that the page stays as plain as this is, and what works here works in every shell.
 */

/** What curl would send. */
export interface CurlRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
}

/** `#` begins a comment; what a shell would read as a pattern or an operator has to be quoted. */
const PIECE =
  /(?<space>(?:\s|\\\n|#[^\n]*)+)|'(?<single>[^']*)'|"(?<double>(?:[^"\\]|\\.)*)"|\$(?<name>[A-Z_]+)|(?<plain>[\w./:=@%,+…-]+)/gy;
const IN_DOUBLE = /\\(["\\$])|\$([A-Z_]+)/g;

/**
 * The words of a command, quotes and variables resolved.
 *
 * @throws Error for anything that is not understood.
 */
export function wordsOf(command: string, variables: ReadonlyMap<string, string>): string[] {
  const valueOf = (name: string): string => {
    const value = variables.get(name);
    if (value === undefined) throw new Error(`$${name} has no value yet`);
    return value;
  };
  const words: string[] = [];
  let word: string | null = null;
  let end = 0;
  for (const { 0: text, index, groups = {} } of command.matchAll(PIECE)) {
    end = index + text.length;
    const { space, single, double, name, plain } = groups;
    if (space !== undefined) {
      if (word !== null) words.push(word);
      word = null;
      continue;
    }
    const expanded = double?.replaceAll(
      IN_DOUBLE,
      (_, escaped: string | undefined, inner: string) => escaped ?? valueOf(inner),
    );
    word = `${word ?? ''}${single ?? expanded ?? plain ?? valueOf(name ?? '')}`;
  }
  if (end < command.length)
    throw new Error(`cannot read from here: ${command.slice(end, end + 40)}`);
  return word === null ? words : [...words, word];
}

/**
 * The request of a curl command, which must show what it is answered (`-i`).
 *
 * @throws Error for an option that is not known here.
 */
export function curlRequestOf([program, ...args]: readonly string[]): CurlRequest {
  if (program !== 'curl') throw new Error(`${program} is not curl`);
  let method: string | null = null;
  let body: string | null = null;
  let url: string | null = null;
  let showsAnswer = false;
  const headers: Record<string, string> = {};
  const left = args.values();
  const next = (): string => {
    const { value } = left.next();
    if (value === undefined) throw new Error('the last option lacks its value');
    return value;
  };
  for (const arg of left) {
    if (arg === '-i') showsAnswer = true;
    else if (arg === '-X') method = next();
    else if (arg === '-H') Object.assign(headers, headerOf(next()));
    else if (arg === '--json') {
      body = next();
      Object.assign(headers, { 'content-type': 'application/json', accept: 'application/json' });
    } else if (arg.startsWith('-')) throw new Error(`${arg} is an option that is not known here`);
    else if (url === null) url = arg;
    else throw new Error(`${arg} is a second address`);
  }
  if (url === null) throw new Error('there is no address');
  if (!showsAnswer) throw new Error('-i is missing');
  return { method: method ?? (body === null ? 'GET' : 'POST'), url, headers, body };
}

function headerOf(text: string): Record<string, string> {
  const [, name, value] = /^([\w-]+): (.+)$/.exec(text) ?? [];
  if (name === undefined || value === undefined) throw new Error(`${text} is no header`);
  return { [name.toLowerCase()]: value };
}
