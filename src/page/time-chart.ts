/** A chart over the last five minutes, drawn by uPlot. */
import uPlot from 'uplot';

import { lonePoints, STEPS, WHOLE_STEPS } from './chart-lines.ts';
import { clockText, NONE } from './format.ts';
import { el, setAttribute, setText } from './elements.ts';
import { HISTORY_SPAN_MS } from './history.ts';

export interface ChartSeries {
  readonly label: string;
  /** A custom property of the style sheet, `--series-1`. */
  readonly color: string;
  readonly filled?: boolean;
}

export interface TimeChartOptions {
  readonly title: string;
  readonly series: readonly ChartSeries[];
  /** Of values, on the axis and in the legend. */
  readonly format: (value: number | null) => string;
  /** Of things that are counted: the axis has no halves. */
  readonly whole?: boolean;
}

const HEIGHT = 168;
/** What a page that was just opened shows, so that its first seconds can be seen. */
const SPAN_MS_MIN = 60_000;
const FONT = '11px system-ui, sans-serif';
/** The cursors of all charts move together. */
const SYNC = uPlot.sync('time');

export class TimeChart {
  readonly root: HTMLElement;
  readonly #options: TimeChartOptions;
  readonly #plotted = el('div', { class: 'chart-plot', role: 'img' });
  readonly #values: readonly HTMLElement[];
  readonly #time = el('span', { class: 'chart-time' });
  readonly #plot: uPlot;
  readonly #resizes: ResizeObserver;
  #data: uPlot.AlignedData = [[]];

  constructor(options: TimeChartOptions) {
    this.#options = options;
    this.#values = options.series.map(() => el('span', { class: 'chart-value' }));
    const legend = options.series.map(({ label, color }, n) => {
      const key = el('span', { class: 'chart-key' });
      key.style.background = `var(${color})`;
      return el('span', { class: 'chart-entry' }, key, label, this.#values[n] ?? '');
    });
    this.root = el(
      'figure',
      { class: 'chart' },
      el('figcaption', {}, el('h3', {}, options.title), this.#time, ...legend),
      this.#plotted,
    );
    this.#plot = new uPlot(
      plotOptions(options, () => this.#showValues()),
      [[]],
      this.#plotted,
    );
    this.#resizes = new ResizeObserver(() => this.#resize());
    this.#resizes.observe(this.#plotted);
  }

  /** Milliseconds since the epoch, and a column for each series. */
  set(times: readonly number[], columns: readonly (readonly (number | null)[])[]): void {
    // uPlot keeps what it is given, and ours changes under it.
    this.#data = [[...times], ...columns.map((column) => [...column])];
    const end = times.at(-1) ?? Date.now();
    this.#plot.batch(() => {
      this.#plot.setData(this.#data, true);
      const span = Math.min(HISTORY_SPAN_MS, Math.max(SPAN_MS_MIN, end - (times[0] ?? end)));
      this.#plot.setScale('x', { min: end - span, max: end });
    });
    this.#showValues();
  }

  /** Draws in the colours of the style sheet as they are now. */
  recolor(): void {
    this.#plot.redraw(false, false);
  }

  close(): void {
    this.#resizes.disconnect();
    this.#plot.destroy();
  }

  #resize(): void {
    const width = this.#plotted.clientWidth;
    if (width > 0) this.#plot.setSize({ width, height: HEIGHT });
  }

  /** Under the cursor; the newest while it is elsewhere. */
  #showValues(): void {
    const [times = [], ...columns] = this.#data;
    const pointed = this.#plot.cursor.idx;
    const n = pointed ?? times.length - 1;
    const texts = columns.map((column) => this.#options.format(column[n] ?? null));
    texts.forEach((text, index) => {
      const value = this.#values[index];
      if (value !== undefined) setText(value, text);
    });
    const time = times[n];
    setText(this.#time, typeof pointed === 'number' && time !== undefined ? clockText(time) : '');
    const said = this.#options.series.map(({ label }, index) => `${label} ${texts[index] ?? NONE}`);
    setAttribute(this.#plotted, 'aria-label', `${this.#options.title}: ${said.join(', ')}`);
  }
}

/** To the second only where there are several to a minute; none that the right edge would cut. */
function timeTexts(times: readonly number[], { min = 0, max = 0 }: uPlot.Scale): string[] {
  const [first = 0, second = first] = times;
  const end = second - first >= 60_000 ? 5 : 8;
  const edge = max - (max - min) * 0.05;
  return times.map((time) => (time > edge ? '' : clockText(time).slice(0, end)));
}

function cssColor(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name);
}

function plotOptions(
  { series, format, whole = false }: TimeChartOptions,
  onCursor: () => void,
): uPlot.Options {
  const axis: uPlot.Axis = {
    stroke: () => cssColor('--muted'),
    font: FONT,
    grid: { stroke: () => cssColor('--line'), width: 1 },
    ticks: { show: false },
  };
  return {
    width: 320,
    height: HEIGHT,
    ms: 1,
    padding: [8, 4, 0, 0],
    legend: { show: false },
    cursor: {
      y: false,
      drag: { x: false, y: false },
      sync: { key: SYNC.key },
      points: { size: 5 },
    },
    scales: { x: { time: true }, y: { range: (_plot, _min, max) => [0, Math.max(1, max * 1.1)] } },
    axes: [
      {
        ...axis,
        values: ({ scales }, times) => timeTexts(times, scales['x'] ?? {}),
        space: 64,
        size: 22,
      },
      {
        ...axis,
        values: (_plot, values) => values.map((value) => format(value)),
        incrs: [...(whole ? WHOLE_STEPS : STEPS)],
        size: 58,
        space: 32,
      },
    ],
    series: [
      {},
      ...series.map(({ label, color, filled = false }): uPlot.Series => ({
        label,
        stroke: () => cssColor(color),
        width: 1.5,
        points: {
          show: false,
          size: 5,
          fill: () => cssColor(color),
          filter: ({ data }, n) => lonePoints([...(data[n] ?? [])]),
        },
        ...(filled ? { fill: () => cssColor(`${color}-area`) } : {}),
      })),
    ],
    hooks: { setCursor: [onCursor] },
  };
}
