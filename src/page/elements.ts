/** Elements without a framework. Text goes in as text nodes only: nothing here parses HTML. */

type Attributes = Readonly<Record<string, string | boolean>>;
type Child = Node | string;

/** `true` sets an empty attribute, `false` leaves it out. */
export function el<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[Tag] {
  const node = document.createElement(tag);
  setAttributes(node, attributes);
  node.append(...children);
  return node;
}

export function svg<Tag extends keyof SVGElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: readonly Child[]
): SVGElementTagNameMap[Tag] {
  const node = document.createElementNS('http://www.w3.org/2000/svg', tag);
  setAttributes(node, attributes);
  node.append(...children);
  return node;
}

function setAttributes(node: Element, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false) node.setAttribute(name, value === true ? '' : value);
  }
}

/** Writes only what differs: an unchanged text costs no layout and is not announced again. */
export function setText(node: Element, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}

export function setAttribute(node: Element, name: string, value: string | null): void {
  if (value === null) node.removeAttribute(name);
  else if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

/** A button that submits nothing. */
export function button(
  label: string,
  onClick: () => void,
  attributes: Attributes = {},
): HTMLButtonElement {
  const node = el('button', { type: 'button', ...attributes }, label);
  node.addEventListener('click', onClick);
  return node;
}

/** A name and a value that changes. */
export interface Fact {
  readonly root: HTMLElement;
  set(text: string, tone?: string): void;
}

/** For a list of `dl`. */
export function fact(name: string, hint?: string): Fact {
  const value = el('dd');
  const root = el(
    'div',
    { class: 'fact' },
    el('dt', hint === undefined ? {} : { title: hint }, name),
    value,
  );
  return {
    root,
    set: (text, tone) => {
      setText(value, text);
      setAttribute(value, 'data-tone', tone ?? null);
    },
  };
}
