/** Whether what is shown is true now: said at once, and to those who cannot see it too. */
import { button, el, setAttribute, setText } from './elements.ts';
import { clockText } from './format.ts';
import type { Connection } from './live-feed.ts';

export class ConnectionBar {
  /** For the head of the page. */
  readonly light: HTMLElement;
  /** Below it, while the connection is lost. */
  readonly banner: HTMLElement;
  readonly #state = el('span', { class: 'light-text', role: 'status', 'aria-live': 'polite' });
  readonly #time = el('span', { class: 'light-time', 'aria-hidden': 'true' });
  readonly #reason = el('strong');
  readonly #since = el('span');
  readonly #next = el('span', { class: 'banner-next', 'aria-hidden': 'true' });
  #connection: Connection = { phase: 'connecting', again: false };
  /** By this machine's clock; null before the first event. */
  #lastAt: number | null = null;

  constructor(onRetry: () => void) {
    this.light = el(
      'div',
      { class: 'light' },
      el('span', { class: 'light-dot' }),
      this.#state,
      this.#time,
    );
    this.banner = el(
      'div',
      { class: 'banner', hidden: true },
      this.#reason,
      this.#next,
      this.#since,
      button('Try now', onRetry, { class: 'quiet' }),
    );
    this.#show();
  }

  /** What is shown is of another time. */
  get stale(): boolean {
    const { phase } = this.#connection;
    return (
      phase === 'lost' || phase === 'paused' || (phase === 'connecting' && this.#connection.again)
    );
  }

  set(connection: Connection): void {
    this.#connection = connection;
    this.#show();
  }

  /** An event came; `at` is its own time. */
  beat(at: number): void {
    this.#lastAt = Date.now();
    setText(this.#time, clockText(at));
  }

  /** Nobody is logged in any more. */
  forget(): void {
    this.#lastAt = null;
    setText(this.#time, '');
    this.set({ phase: 'connecting', again: false });
  }

  /** Counts down; call it every half second or so. */
  tick(): void {
    if (this.#connection.phase === 'lost') {
      const left = Math.max(0, this.#connection.retryAt - Date.now());
      setText(this.#next, `Next try in ${Math.ceil(left / 1000)} s.`);
    }
    if (this.#connection.phase === 'connecting') setText(this.#next, 'Trying now.');
  }

  #show(): void {
    const connection = this.#connection;
    setAttribute(this.light, 'data-phase', this.stale ? 'lost' : connection.phase);
    setText(this.#state, STATES[this.stale ? 'lost' : connection.phase]);
    this.banner.hidden = !this.stale;
    if (connection.phase === 'lost') setText(this.#reason, connection.reason);
    if (connection.phase === 'paused')
      setText(this.#reason, 'The stream rests while nobody looks.');
    const since =
      this.#lastAt === null
        ? 'Nothing was received yet.'
        : `What is shown is of ${clockText(this.#lastAt)}.`;
    setText(this.#since, since);
    this.tick();
  }
}

const STATES: Readonly<Record<Connection['phase'], string>> = {
  connecting: 'Connecting',
  live: 'Live',
  lost: 'Connection lost',
  paused: 'Paused',
  refused: 'Logged out',
};
