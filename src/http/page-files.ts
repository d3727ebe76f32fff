/** The files of the operator's page, as a browser gets them. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire, stripTypeScriptTypes } from 'node:module';
import { extname, join } from 'node:path';

const DIRECTORY = join(import.meta.dirname, '../page');
const INDEX = 'index.html';
/** Of the chart package; the one module of another hand that the page runs. */
const PACKAGED = ['uplot/dist/uPlot.esm.js', 'uplot/dist/uPlot.min.css'];

const MEDIA_TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.ts': 'text/javascript; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
};

export interface PageFile {
  readonly type: string;
  readonly text: string;
  /** A strong entity tag: the file's hash. */
  readonly tag: string;
}

export interface PageFiles {
  readonly index: PageFile;
  /** By name, without a directory. */
  readonly files: ReadonlyMap<string, PageFile>;
}

let read: PageFiles | undefined;

/**
 * Reads them all, once in a process: 60 ms that no request should wait for.
 *
 * @throws when one is missing or is no TypeScript that can be stripped: at start only.
 */
export function readPageFiles(): PageFiles {
  read ??= readAll();
  return read;
}

function readAll(): PageFiles {
  const files = new Map<string, PageFile>();
  for (const name of readdirSync(DIRECTORY)) {
    const text = readFileSync(join(DIRECTORY, name), 'utf8');
    if (extname(name) in MEDIA_TYPES) files.set(name, fileOf(name, text));
  }
  const { resolve } = createRequire(import.meta.url);
  for (const path of PACKAGED) {
    const name = path.slice(path.lastIndexOf('/') + 1);
    files.set(name, fileOf(name, readFileSync(resolve(path), 'utf8')));
  }
  const index = files.get(INDEX);
  if (index === undefined) throw new Error(`${INDEX} is missing`);
  files.delete(INDEX);
  return { index, files };
}

function fileOf(name: string, source: string): PageFile {
  const text = name.endsWith('.ts') ? stripped(source) : source;
  const hash = createHash('sha256').update(text).digest('base64url');
  return { type: MEDIA_TYPES[extname(name)] ?? '', text, tag: `"${hash.slice(0, 27)}"` };
}

/**
 * Types become blanks, so that lines and columns stay those of the source. Node does the same to
 * this very file without a word, but warns of the function: on every start, in the middle of a log
 * of JSON lines.
 */
function stripped(source: string): string {
  const emitWarning = process.emitWarning.bind(process);
  process.emitWarning = () => undefined;
  try {
    return stripTypeScriptTypes(source);
  } finally {
    process.emitWarning = emitWarning;
  }
}
