/** Walks through a page against a server: every command is sent, every answer compared. */
import { STATUS_CODES } from 'node:http';
import { curlRequestOf, wordsOf } from './curl-command.ts';
import { until } from './until.ts';
import { differencesOf, Meanings } from './walk-match.ts';
import type { Message } from './walk-match.ts';
import type { ShownMessage, Step } from './walk-page.ts';
import { printed } from './walk-print.ts';

/** A page that shows something else than what happened. */
export class WalkError extends Error {
  readonly line: number;
  /** Stands for the block that is wrong. */
  readonly paste: string;

  constructor(line: number, differences: readonly string[], paste: string) {
    super(`line ${line}: ${differences.join('; ')}\n\nThis happened:\n\n${paste}\n`);
    this.name = 'WalkError';
    this.line = line;
    this.paste = paste;
  }
}

export interface WalkOptions {
  /** Addresses of the page and those of the run. */
  readonly addresses: readonly (readonly [shown: string, actual: string])[];
  /** What the page's receiver got so far. */
  readonly received: () => readonly Message[];
  /** For what comes a moment later; that of `until` unless given. */
  readonly waitMsMax?: number;
}

type CommandStep = Step & { readonly kind: 'command' };
type DeliveryStep = Step & { readonly kind: 'delivery' };

export class ApiWalk {
  readonly #received: () => readonly Message[];
  readonly #waitMsMax: number | undefined;
  readonly #variables = new Map<string, string>();
  #meanings: Meanings;

  constructor({ addresses, received, waitMsMax }: WalkOptions) {
    this.#received = received;
    this.#waitMsMax = waitMsMax;
    this.#meanings = new Meanings(addresses);
  }

  /** Of this run; undefined = the page has no such variable yet. */
  variable(name: string): string | undefined {
    const shown = this.#variables.get(name);
    return shown === undefined ? undefined : this.#meanings.actualOf(shown);
  }

  /**
   * Steps of code are the caller's.
   *
   * @throws WalkError when the page is wrong.
   */
  async take(step: Step): Promise<void> {
    switch (step.kind) {
      case 'variable':
        this.#meanings.actualOf(step.text);
        this.#variables.set(step.name, step.text);
        return undefined;
      case 'command':
        return this.#ask(step);
      case 'delivery':
        return this.#await(step);
      case 'code':
        return undefined;
    }
  }

  async #ask({ line, text, isPatient, answer }: CommandStep): Promise<void> {
    const request = this.#requestOf(text, line);
    if (isPatient && request.method !== 'GET') throw new Error(`line ${line}: cannot be repeated`);
    let message = await send(request);
    if (isPatient) {
      await this.#wait(async () => {
        if (this.#fits(answer, message)) return true;
        message = await send(request);
        return false;
      });
    }
    this.#expect(answer, message);
  }

  async #await({ line, message }: DeliveryStep): Promise<void> {
    const arrived = (): Message | undefined =>
      this.#received().find((delivery) => this.#fits(message, delivery));
    await this.#wait(() => arrived() !== undefined);
    const delivery = arrived() ?? this.#received().at(-1);
    if (delivery === undefined) throw new Error(`line ${line}: nothing was delivered`);
    this.#expect({ ...message, line }, delivery);
  }

  /** Or not: what is still wrong then is told by `#expect`. */
  #wait(holds: () => Promise<boolean> | boolean): Promise<void> {
    return until('the answer', holds, this.#waitMsMax).catch(() => undefined);
  }

  /** Learns nothing. */
  #fits(shown: ShownMessage, actual: Message): boolean {
    return differencesOf(shown, actual, this.#meanings.copy()).length === 0;
  }

  #expect(shown: ShownMessage & { readonly line: number }, actual: Message): void {
    const meanings = this.#meanings.copy();
    const differences = differencesOf(shown, actual, meanings);
    if (differences.length > 0) {
      const names = shown.headers.map(([name]) => name);
      throw new WalkError(shown.line, differences, printed(actual, this.#meanings, names));
    }
    this.#meanings = meanings;
  }

  #requestOf(text: string, line: number): Request {
    try {
      const { url, method, headers, body } = curlRequestOf(wordsOf(text, this.#variables));
      const sent = Object.entries(headers).map(([name, value]) => [
        name,
        this.#meanings.actualOf(value),
      ]);
      return new Request(this.#meanings.actualOf(url), {
        method,
        headers: Object.fromEntries(sent),
        body: body === null ? null : this.#meanings.actualOf(body),
      });
    } catch (cause) {
      throw new Error(`line ${line}: the command cannot be sent`, { cause });
    }
  }
}

async function send(request: Request): Promise<Message> {
  const response = await fetch(request.clone());
  const { status } = response;
  const text = await response.text();
  return {
    start: `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    headers: Object.fromEntries(response.headers),
    body: text === '' ? undefined : JSON.parse(text),
  };
}
