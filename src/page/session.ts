/**
 * Who is logged in, for as long as the tab is open. The token lives in sessionStorage: it is gone
 * with the tab, is sent in a header only, and never stands in an address.
 */
import type { SessionJson } from './admin-api.ts';

const KEY = 'hedonify-admin-session';

export class SessionStore {
  readonly #storage: Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>;

  constructor(storage: Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>) {
    this.#storage = storage;
  }

  /** Null when nobody is logged in, or not any more. */
  read(): SessionJson | null {
    const text = this.#storage.getItem(KEY);
    if (text === null) return null;
    try {
      return JSON.parse(text) as SessionJson;
    } catch {
      this.clear();
      return null;
    }
  }

  write(session: SessionJson): void {
    this.#storage.setItem(KEY, JSON.stringify(session));
  }

  clear(): void {
    this.#storage.removeItem(KEY);
  }
}
