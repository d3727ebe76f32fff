/** Asks why and whether, before anything is done; the server records both question and outcome. */
import { freshKey } from './admin-client.ts';
import type { AdminClient, Answer, Deed } from './admin-client.ts';
import { button, el, setAttribute, setText } from './elements.ts';

/** As the server has it (REASON_CHARS_MAX). */
const REASON_CHARS_MAX = 200;

export interface Question {
  readonly deed: Deed;
  readonly title: string;
  /** What will happen. */
  readonly text: string;
  /** On the button. */
  readonly verb: string;
  /** When it was done. */
  readonly done: string;
}

export interface DeedDialogOptions {
  readonly client: Pick<AdminClient, 'act'>;
  readonly onDone: (question: Question) => void;
  /** It was closed, and what had the focus before is not there any more. */
  readonly onFocusLost: () => void;
}

export class DeedDialog {
  readonly root: HTMLDialogElement;
  readonly #options: DeedDialogOptions;
  readonly #title = el('h2', { id: 'deed-title' });
  readonly #text = el('p', { id: 'deed-text' });
  readonly #reason = el('input', {
    id: 'deed-reason',
    type: 'text',
    autocomplete: 'off',
    maxlength: String(REASON_CHARS_MAX),
    required: true,
    'aria-describedby': 'deed-hint',
  });
  readonly #error = el('p', { class: 'form-error', role: 'alert' });
  readonly #confirm = el('button', { type: 'submit', class: 'primary' });
  /** What is being asked, and the key of all its tries. */
  #asked: { readonly question: Question; readonly key: string } | null = null;

  constructor(options: DeedDialogOptions) {
    this.#options = options;
    const form = el(
      'form',
      // An empty reason is told in words that stay, by `#act`.
      { method: 'dialog', novalidate: true },
      this.#title,
      this.#text,
      el('label', { for: 'deed-reason' }, 'Reason'),
      this.#reason,
      el('p', { id: 'deed-hint', class: 'hint' }, 'Kept in the log of actions, with your name.'),
      this.#error,
      el(
        'div',
        { class: 'buttons' },
        button('Cancel', () => this.root.close()),
        this.#confirm,
      ),
    );
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#act();
    });
    this.root = el(
      'dialog',
      { 'aria-labelledby': 'deed-title', 'aria-describedby': 'deed-text' },
      form,
    );
    this.#reason.addEventListener('input', () => setAttribute(this.#reason, 'aria-invalid', null));
    this.root.addEventListener('close', () => {
      this.#asked = null;
      if (document.activeElement === document.body) options.onFocusLost();
    });
  }

  ask(question: Question): void {
    this.#asked = { question, key: freshKey() };
    setText(this.#title, question.title);
    setText(this.#text, question.text);
    setText(this.#confirm, question.verb);
    setText(this.#error, '');
    setAttribute(this.#reason, 'aria-invalid', null);
    this.#reason.value = '';
    this.#confirm.disabled = false;
    this.root.showModal();
    this.#reason.focus();
  }

  async #act(): Promise<void> {
    const asked = this.#asked;
    const reason = this.#reason.value.trim();
    if (asked === null) return;
    if (reason === '') {
      setText(this.#error, 'Say why: nothing is done without a reason.');
      setAttribute(this.#reason, 'aria-invalid', 'true');
      return this.#reason.focus();
    }
    this.#confirm.disabled = true;
    setText(this.#error, '');
    const answer = await this.#options.client.act({
      deed: asked.question.deed,
      reason,
      key: asked.key,
    });
    if (answer.type === 'done') this.#options.onDone(asked.question);
    // Closed meanwhile, and perhaps opened for something else.
    if (this.#asked !== asked) return;
    this.#confirm.disabled = false;
    if (answer.type === 'done') this.root.close();
    else setText(this.#error, errorText(answer));
  }
}

function errorText(answer: Exclude<Answer<unknown>, { type: 'done' }>): string {
  if (answer.type === 'refused') return answer.text;
  return 'No answer came: it may have been done or not. Trying again does it once at most.';
}
