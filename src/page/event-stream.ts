/** Parses text/event-stream. Source: the WHATWG HTML standard, section 9.2.6. */

/** Characters of one unfinished event: past it the stream is none of ours. */
export const EVENT_CHARS_MAX = 4_000_000;

export interface StreamEvent {
  readonly name: string;
  readonly data: string;
}

/** Takes text in whatever pieces it arrives; EventSource itself can send no Authorization header. */
export class EventStreamParser {
  /** What came after the last whole line. */
  #rest = '';
  #name = '';
  #data: string[] = [];
  #chars = 0;

  /**
   * The events that this piece completes.
   *
   * @throws Error when an event grows past EVENT_CHARS_MAX.
   */
  push(piece: string): StreamEvent[] {
    const text = this.#rest + piece;
    // A CR at the end may be half of a CR LF.
    const end = text.endsWith('\r') ? text.length - 1 : text.length;
    const lines = text.slice(0, end).split(/\r\n|\r|\n/);
    this.#rest = (lines.pop() ?? '') + text.slice(end);
    const events: StreamEvent[] = [];
    for (const line of lines) {
      const event = this.#take(line);
      if (event !== null) events.push(event);
    }
    if (this.#chars + this.#rest.length > EVENT_CHARS_MAX) throw new Error('an event is too long');
    return events;
  }

  #take(line: string): StreamEvent | null {
    if (line === '') return this.#finish();
    const colon = line.indexOf(':');
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '');
    this.#chars += value.length;
    if (field === 'event') this.#name = value;
    if (field === 'data') this.#data.push(value);
    return null;
  }

  #finish(): StreamEvent | null {
    const event = { name: this.#name || 'message', data: this.#data.join('\n') };
    const empty = this.#data.length === 0;
    this.#name = '';
    this.#data = [];
    this.#chars = 0;
    return empty ? null : event;
  }
}
