/** A page of commands and answers as steps: whatever it shows in a block is one of them. */

/** A request or an answer as a page shows it. */
export interface ShownMessage {
  /** The first line. */
  readonly start: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** JSON with `LEFT_OUT` where the page has a `…`; undefined = none. */
  readonly body: unknown;
}

interface Place {
  /** Of the block's first line, counted from 1. */
  readonly line: number;
}

export type Step =
  | (Place & { readonly kind: 'variable'; readonly name: string; readonly text: string })
  | (Place & {
      readonly kind: 'command';
      readonly text: string;
      /** What is shown is there "a moment later". */
      readonly isPatient: boolean;
      readonly answer: ShownMessage & Place;
    })
  /** What a receiver gets. */
  | (Place & { readonly kind: 'delivery'; readonly message: ShownMessage })
  | (Place & { readonly kind: 'code'; readonly text: string });

/** Other members, or other entries. */
export const LEFT_OUT = '…';

interface Block extends Place {
  readonly language: string;
  readonly text: string;
  /** Since the block before. */
  readonly prose: string;
}

const FENCE = /^```(\S*)$/;
const VARIABLE = /^([A-Z_]+)=(\S+)$/;
const A_MOMENT_LATER = /\ba moment later\b/i;

/** @throws Error naming the line of a block that nothing would check. */
export function stepsOf(markdown: string): Step[] {
  const steps: Step[] = [];
  const blocks = blocksOf(markdown).values();
  for (const block of blocks) {
    const { line, language, text } = block;
    if (language === 'sh') {
      const { variables, command } = statementsOf(block);
      steps.push(...variables);
      if (command === '') continue;
      const { value: answer } = blocks.next();
      if (answer?.language !== 'http') throw new Error(`${line}: the command shows no answer`);
      steps.push({
        kind: 'command',
        line,
        text: command,
        isPatient: A_MOMENT_LATER.test(block.prose),
        answer: { ...messageOf(answer), line: answer.line },
      });
    } else if (language === 'http' && text.startsWith('POST ')) {
      steps.push({ kind: 'delivery', line, message: messageOf(block) });
    } else if (language === 'js') {
      steps.push({ kind: 'code', line, text });
    } else throw new Error(`${line}: a block that nothing checks`);
  }
  return steps;
}

function blocksOf(markdown: string): Block[] {
  const blocks: Block[] = [];
  let prose: string[] = [];
  let open: { readonly line: number; readonly language: string; readonly lines: string[] } | null =
    null;
  for (const [index, text] of markdown.split('\n').entries()) {
    const fence = FENCE.exec(text);
    if (open === null) {
      if (fence === null) prose.push(text);
      else open = { line: index + 2, language: fence[1] ?? '', lines: [] };
    } else if (fence === null) open.lines.push(text);
    else {
      const { line, language, lines } = open;
      blocks.push({ line, language, text: lines.join('\n'), prose: prose.join(' ') });
      prose = [];
      open = null;
    }
  }
  if (open !== null) throw new Error(`${open.line}: a block without an end`);
  return blocks;
}

function statementsOf({ line, text }: Block): { variables: Step[]; command: string } {
  const lines = text.split('\n');
  const variables: Step[] = [];
  for (const [index, statement] of lines.entries()) {
    const [, name, value] = VARIABLE.exec(statement) ?? [];
    if (name === undefined || value === undefined) {
      return { variables, command: lines.slice(index).join('\n') };
    }
    variables.push({ kind: 'variable', line: line + index, name, text: value });
  }
  return { variables, command: '' };
}

function messageOf({ line, text }: Block): ShownMessage {
  const [head = '', ...rest] = text.split('\n\n');
  const [start = '', ...lines] = head.split('\n');
  const headers = lines.map((header) => {
    const [, name, value] = /^([\w-]+): (.+)$/.exec(header) ?? [];
    if (name === undefined || value === undefined)
      throw new Error(`${line}: ${header} is no header`);
    return [name, value] as const;
  });
  const body = rest.join('\n\n');
  return { start, headers, body: body === '' ? undefined : shownJson(body, line) };
}

/** `…` as the last member or entry, which JSON does not have. */
function shownJson(text: string, line: number): unknown {
  const json = text
    .replaceAll(/([[,])\s*…(?=\s*\])/g, `$1"${LEFT_OUT}"`)
    .replaceAll(/([{,])\s*…(?=\s*\})/g, `$1"${LEFT_OUT}":0`);
  try {
    return JSON.parse(json);
  } catch (cause) {
    throw new Error(`${line}: the body is not JSON`, { cause });
  }
}
