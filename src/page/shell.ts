/** The frame around the views: name, ways, connection, who is logged in. */
import type { SessionJson } from './admin-api.ts';
import { button, el, setAttribute, setText } from './elements.ts';
import { clockText } from './format.ts';
import { hashOf } from './page-route.ts';
import type { PageRoute } from './page-route.ts';

/** How long the word that something was done stays, milliseconds. */
const NOTICE_MS = 6_000;

const WAYS = [
  ['actors', 'Actors', hashOf({ view: 'actors', sort: 'rate' })],
  ['shards', 'Shards', hashOf({ view: 'shards' })],
  ['batches', 'Batches', hashOf({ view: 'batches' })],
  ['actions', 'Actions', hashOf({ view: 'actions' })],
] as const;

export interface ShellParts {
  readonly light: HTMLElement;
  readonly banner: HTMLElement;
  readonly summary: HTMLElement;
  readonly dialog: HTMLElement;
  readonly onLogOut: () => void;
}

export class Shell {
  readonly root: HTMLElement;
  readonly #main = el('main', { id: 'main', tabindex: '-1' });
  readonly #head: HTMLElement;
  readonly #body: HTMLElement;
  readonly #account = el('span', { class: 'account' });
  readonly #notice = el('p', { class: 'notice', role: 'status', hidden: true });
  readonly #ways = new Map(WAYS.map(([view, name, href]) => [view, el('a', { href }, name)]));
  readonly #parts: ShellParts;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(parts: ShellParts) {
    this.#parts = parts;
    this.#head = el(
      'header',
      { class: 'head', hidden: true },
      el(
        'a',
        { class: 'brand', href: '#/actors' },
        el('span', { class: 'brand-mark' }),
        'Hedonify',
      ),
      el('nav', { class: 'ways', 'aria-label': 'Views' }, ...this.#ways.values()),
      parts.light,
      el(
        'div',
        { class: 'who' },
        this.#account,
        button('Log out', parts.onLogOut, { class: 'quiet' }),
      ),
    );
    this.#body = el('div', { class: 'body' }, parts.summary, this.#main);
    this.root = el(
      'div',
      { class: 'shell' },
      el('a', { class: 'skip', href: '#main' }, 'Skip to the view'),
      this.#head,
      parts.banner,
      this.#body,
      this.#notice,
      parts.dialog,
    );
    // Not an address of a view.
    this.root.querySelector('.skip')?.addEventListener('click', (event) => {
      event.preventDefault();
      this.#main.focus();
    });
  }

  /** Null while nobody is logged in. */
  setSession(session: SessionJson | null): void {
    this.#head.hidden = session === null;
    this.#parts.summary.hidden = session === null;
    if (session === null) return this.#hideNotice();
    setText(this.#account, session.user.email);
    setAttribute(this.#account, 'title', `Until ${clockText(Date.parse(session.expires_at))}`);
  }

  setView(view: Element, route: PageRoute | null): void {
    const current = route?.view === 'actor' ? 'actors' : route?.view;
    for (const [name, link] of this.#ways) {
      setAttribute(link, 'aria-current', name === current ? 'page' : null);
    }
    this.#main.replaceChildren(view);
  }

  /** Greys what is shown. */
  setStale(stale: boolean): void {
    setAttribute(this.#body, 'data-stale', stale ? 'true' : null);
  }

  notice(text: string): void {
    clearTimeout(this.#timer);
    this.#notice.hidden = false;
    setText(this.#notice, text);
    this.#timer = setTimeout(() => this.#hideNotice(), NOTICE_MS);
  }

  #hideNotice(): void {
    clearTimeout(this.#timer);
    this.#notice.hidden = true;
    setText(this.#notice, '');
  }
}
