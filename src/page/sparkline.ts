/** A line without axes: how a number moved lately. */
import { setAttribute, svg } from './elements.ts';
import { sparklinePaths } from './sparkline-path.ts';

const WIDTH = 100;
const HEIGHT = 24;

export class Sparkline {
  readonly root: SVGSVGElement;
  readonly #area = svg('path', { class: 'spark-area' });
  readonly #line = svg('path', { class: 'spark-line', 'vector-effect': 'non-scaling-stroke' });

  constructor() {
    // The number beside it says the same to those who cannot see it.
    this.root = svg(
      'svg',
      {
        class: 'spark',
        viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
        preserveAspectRatio: 'none',
        'aria-hidden': 'true',
      },
      this.#area,
      this.#line,
    );
  }

  /** The newest is last; `points`: how many the full width has room for. */
  set(values: readonly (number | null)[], points: number): void {
    const { line, area } = sparklinePaths(values, { points, width: WIDTH, height: HEIGHT });
    setAttribute(this.#line, 'd', line);
    setAttribute(this.#area, 'd', area);
  }
}
