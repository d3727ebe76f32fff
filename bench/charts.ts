/**
 * Vega-Lite to SVG: without a canvas, a browser or anything from the network. One look for all
 * charts, on a background of their own, so that GitHub shows them alike in light and dark.
 */
import { loader, parse, View } from 'vega';
import { compile } from 'vega-lite';
import type { Config, TopLevelSpec } from 'vega-lite';

const FONT = 'system-ui, -apple-system, "Segoe UI", "Liberation Sans", Arial, sans-serif';
const INK = '#1f2328';
const QUIET = '#59636e';
const RULE = '#d1d9e0';
/** Told apart by colour-blind readers too. Source: Okabe and Ito, without their yellow. */
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#1f2328'];
const SIZE = { width: 640, height: 320 };

const CONFIG: Config = {
  background: '#ffffff',
  padding: 20,
  font: FONT,
  view: { stroke: null },
  title: { anchor: 'start', color: INK, fontSize: 16, subtitleColor: QUIET, offset: 14 },
  axis: {
    labelColor: QUIET,
    titleColor: INK,
    labelFontSize: 12,
    titleFontSize: 12,
    titleFontWeight: 'normal',
    titlePadding: 10,
    gridColor: RULE,
    domainColor: QUIET,
    tickColor: QUIET,
    labelLimit: 320,
  },
  legend: {
    orient: 'bottom',
    columns: 3,
    labelColor: INK,
    titleColor: INK,
    labelFontSize: 12,
    labelLimit: 260,
    title: null,
    symbolStrokeWidth: 2,
  },
  header: { labelColor: INK, labelFontSize: 13, title: null },
  range: { category: COLOURS },
  mark: { color: COLOURS[0] ?? INK },
  line: { strokeWidth: 2.5, point: { size: 45 } },
  area: { opacity: 0.15 },
  text: { color: INK, fontSize: 12 },
};

/**
 * The chart as SVG text.
 *
 * @throws Error when something is wrong with it, also where Vega would only warn and draw something
 * else, or nothing: an unknown channel, a field without values, data that is not inside it
 */
export async function chartSvg(spec: TopLevelSpec): Promise<string> {
  const problems: string[] = [];
  const note = (...parts: readonly unknown[]) => {
    problems.push(parts.map(String).join(' '));
    return logger;
  };
  const logger = { level: () => logger, error: note, warn: note, info: quiet, debug: quiet };
  function quiet() {
    return logger;
  }
  // What the chart says of itself wins; where there are several views each has a size of its own.
  const sized = 'mark' in spec || 'layer' in spec ? { ...SIZE, ...spec } : spec;
  const compiled = compile({ ...sized, config: { ...CONFIG, ...spec.config } }, { logger });
  const view = new View(parse(compiled.spec), { renderer: 'none', loader: NO_DOWNLOADS, logger });
  try {
    const svg = await view.toSVG();
    if (problems.length > 0) throw new Error(`not a chart: ${problems.join('; ')}`);
    return `${svg}\n`;
  } finally {
    view.finalize();
  }
}

const NO_DOWNLOADS = {
  ...loader(),
  load: (url: string) => Promise.reject(new Error(`a chart loads nothing, not ${url}`)),
};
