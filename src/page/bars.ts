/** Bars: how much of a bound is used, and what a whole consists of. */
import { countText, NONE, percentText, toneOf } from './format.ts';
import { el, setAttribute, setText } from './elements.ts';

/** A value against its bound. */
export class Meter {
  readonly root: HTMLElement;
  readonly #fill = el('span', { class: 'meter-fill' });
  readonly #text = el('span', { class: 'meter-text' });
  readonly #bar: HTMLElement;

  constructor(label: string) {
    this.#bar = el('span', { class: 'meter-bar', role: 'meter', 'aria-label': label }, this.#fill);
    this.root = el('div', { class: 'meter' }, this.#bar, this.#text);
  }

  /** Null: not known. */
  set(value: number | null, bound: number | null): void {
    if (value === null || bound === null) return this.#show({ value: 0, bound: 0, text: NONE });
    this.#show({ value, bound, text: `${countText(value)} / ${countText(bound)}` });
  }

  /** Between 0 and 1. */
  setShare(share: number): void {
    this.#show({ value: share * 100, bound: 100, text: percentText(share) });
  }

  #show({ value, bound, text }: { value: number; bound: number; text: string }): void {
    const share = bound > 0 ? Math.min(1, value / bound) : 0;
    this.#fill.style.inlineSize = `${(share * 100).toFixed(2)}%`;
    setAttribute(this.#bar, 'data-tone', toneOf(value, bound));
    setAttribute(this.#bar, 'aria-valuenow', value.toFixed());
    setAttribute(this.#bar, 'aria-valuemin', '0');
    setAttribute(this.#bar, 'aria-valuemax', Math.max(bound, value).toFixed());
    setAttribute(this.#bar, 'aria-valuetext', text);
    setText(this.#text, text);
  }
}

export interface BarPart {
  /** As the style sheet knows it: `part-available`. */
  readonly name: string;
  readonly value: number;
  readonly text: string;
}

/** Parts of a whole, side by side. */
export class StackedBar {
  readonly root = el('span', { class: 'stacked', role: 'img' });

  /** `whole`: what the full width stands for; the sum unless given. */
  set(parts: readonly BarPart[], whole?: number): void {
    const sum = whole ?? parts.reduce((total, { value }) => total + value, 0);
    while (this.root.childElementCount < parts.length) this.root.append(el('span'));
    parts.forEach(({ name, value }, n) => {
      const part = this.root.children[n];
      if (!(part instanceof HTMLElement)) return;
      setAttribute(part, 'class', `part part-${name}`);
      part.style.inlineSize = sum > 0 ? `${((value / sum) * 100).toFixed(2)}%` : '0';
    });
    setAttribute(this.root, 'aria-label', parts.map(({ text }) => text).join(', '));
    setAttribute(this.root, 'title', parts.map(({ text }) => text).join('\n'));
  }
}
