import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { EVENT_CHARS_MAX, EventStreamParser } from '../../src/page/event-stream.ts';

function parse(...pieces: string[]) {
  const parser = new EventStreamParser();
  return pieces.flatMap((piece) => parser.push(piece));
}

describe('an event stream', () => {
  test.each([
    ['an event with its name', 'event: state\ndata: {"a":1}\n\n', [['state', '{"a":1}']]],
    ['CR LF and lone CR as line ends', 'data: a\r\n\r\ndata: b\r\r \n', [['message', 'a'], ['message', 'b']]], // prettier-ignore
    ['several lines of data', 'data: a\ndata:b\ndata\n\n', [['message', 'a\nb\n']]],
    ['comments and fields of others', ': hello\nid: 7\nretry: 9\ndata: a\n\n', [['message', 'a']]],
    ['a name without data', 'event: state\n\ndata: a\n\n', [['message', 'a']]],
    ['what is not finished', 'data: a\n\ndata: b\n', [['message', 'a']]],
    ['a value with a colon, of which one blank is dropped', 'data:  a: b\n\n', [['message', ' a: b']]], // prettier-ignore
  ])('has %s', (_what, text, events) => {
    expect(parse(text).map(({ name, data }) => [name, data])).toEqual(events);
  });

  test('is read the same wherever it is cut, in the middle of a CR LF too', () => {
    const text = 'event: state\r\ndata: {"a":"é"}\r\n\r\n: x\r\ndata: 1\ndata: 2\r\r';
    fc.assert(
      fc.property(fc.array(fc.nat(text.length)), (cuts) => {
        const places = [0, ...cuts.toSorted((a, b) => a - b), text.length];
        const pieces = places.slice(1).map((end, n) => text.slice(places[n], end));
        expect(parse(...pieces, '\n')).toEqual(parse(text, '\n'));
      }),
    );
  });

  test('that never ends an event is given up, in one line or in many (I9)', () => {
    const half = 'x'.repeat(EVENT_CHARS_MAX / 2);
    expect(() => parse(`data: ${half}`, half)).toThrow('too long');
    expect(() => parse(`data: ${half}\n`, `data: ${half}\n`, 'data: x\n')).toThrow('too long');
    expect(parse(`data: ${half}\n\n`, `data: ${half}\n\n`, 'data: x\n\n')).toHaveLength(3);
  });
});
