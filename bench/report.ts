/** The Markdown of a run, and how figures over rounds are written in it. Pure. */
import type { SuiteReport, Table } from './suite.ts';
import { summarise } from './statistics.ts';
import type { Interval } from './statistics.ts';

/** Said above all tables; every suite writes its figures with `figure` or `withInterval`. */
const HOW_TO_READ =
  'In parentheses: of medians over rounds their 95 % percentile bootstrap intervals, which of 7 ' +
  'rounds cover 88 %; of geometric means of ratios their 95 % t-intervals.';

/** @param facts of machine, settings and load; one line each */
export function markdownOf(report: SuiteReport, facts: readonly string[]): string {
  const blocks = [
    `# ${report.title}`,
    [...facts, ...report.notes].map((line) => `- ${line}`).join('\n'),
    HOW_TO_READ,
    ...report.tables.map((table) => `## ${table.title}\n\n${tableText(table)}`),
    ...report.charts.map(({ name }) => `![${name.replaceAll('-', ' ')}](${name}.svg)`),
  ];
  return `${blocks.join('\n\n')}\n`;
}

/** @throws Error when a row is not as long as the head */
function tableText({ title, columns, rows }: Table): string {
  const crooked = rows.find((row) => row.length !== columns.length);
  if (crooked !== undefined) {
    throw new Error(`a row of "${title}" has not ${columns.length} cells: ${crooked.join(' | ')}`);
  }
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const rule = columns.map((_, i) => (i === 0 ? '---' : '---:'));
  return [line(columns), `| ${rule.join(' | ')} |`, ...rows.map(line)].join('\n');
}

/** Median and interval of one figure over rounds: `16,007 (14,796–18,215)`; of one round, itself. */
export function figure(values: readonly number[], digits = 0): string {
  const { median, ...interval } = summarise(values);
  return withInterval(median, interval, digits);
}

export function withInterval(value: number, { low, high }: Interval, digits = 0): string {
  const text = (number: number) => numberText(number, digits);
  if (low === high) return text(value);
  return `${text(value)} (${text(low)}–${text(high)})`;
}

/** Of a figure against its bar; a bar that is missed is said, and fails no run. */
export function verdict(isMet: boolean): string {
  return isMet ? 'met' : '**missed**';
}

export function numberText(value: number, digits = 0): string {
  const fraction = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return value.toLocaleString('en-US', fraction);
}
