/** The way in. Nothing is kept of the password, and a session that is none of an admin is dropped. */
import type { AdminClient } from './admin-client.ts';
import type { SessionJson } from './admin-api.ts';
import { el, setText } from './elements.ts';

export interface LoginViewOptions {
  readonly client: Pick<AdminClient, 'login'>;
  /** Why one is here again; empty the first time. */
  readonly notice: string;
  readonly onSession: (session: SessionJson) => void;
}

export class LoginView {
  readonly root: HTMLElement;
  readonly #options: LoginViewOptions;
  readonly #email = el('input', {
    id: 'login-email',
    type: 'email',
    autocomplete: 'username',
    required: true,
    maxlength: '254',
  });
  readonly #password = el('input', {
    id: 'login-password',
    type: 'password',
    autocomplete: 'current-password',
    required: true,
  });
  readonly #submit = el('button', { type: 'submit', class: 'primary' }, 'Log in');
  readonly #error = el('p', { class: 'form-error', role: 'alert' });

  constructor(options: LoginViewOptions) {
    this.#options = options;
    // The policy of the page forbids forms that are sent; this one is read.
    const form = el(
      'form',
      { class: 'login', method: 'post' },
      el('h1', {}, 'Log in'),
      el('p', { class: 'hint' }, options.notice || 'The engine is shown to admins.'),
      el('label', { for: 'login-email' }, 'Email'),
      this.#email,
      el('label', { for: 'login-password' }, 'Password'),
      this.#password,
      this.#error,
      this.#submit,
    );
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#logIn();
    });
    this.root = el('div', { class: 'login-place' }, form);
  }

  focus(): void {
    this.#email.focus();
  }

  async #logIn(): Promise<void> {
    setText(this.#error, '');
    this.#submit.disabled = true;
    const answer = await this.#options.client.login(this.#email.value, this.#password.value);
    this.#submit.disabled = false;
    if (answer.type === 'no-answer') return setText(this.#error, 'The server cannot be reached.');
    this.#password.value = '';
    if (answer.type === 'refused') return this.#refuse(answer.text);
    if (answer.body.user.role === 'admin') return this.#options.onSession(answer.body);
    this.#refuse(`${answer.body.user.email} is not an admin.`);
  }

  #refuse(text: string): void {
    setText(this.#error, text);
    this.#password.focus();
  }
}
