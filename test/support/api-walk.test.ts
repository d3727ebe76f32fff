/** The walk through a page, on pages that are wrong: what it cannot see, docs/api.md may say. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, Server } from 'node:http';
import { afterAll, beforeAll, beforeEach, describe, expect, it, test } from 'vitest';
import { ApiWalk, WalkError } from './api-walk.ts';
import { curlRequestOf, wordsOf } from './curl-command.ts';
import type { Message } from './walk-match.ts';
import { stepsOf } from './walk-page.ts';

const THING = '0199aaaa-0000-7000-8000-000000000001';
const OWNER = '0199aaaa-0000-7000-8000-000000000002';
const WAIT_MS_MAX = 50;

let server: Server;
let url: string;
let asked: IncomingMessage[] = [];
/** Requests that find the thing busy. */
let busy = 0;

beforeAll(async () => {
  server = createServer((request, response) => {
    asked.push(request);
    busy -= 1;
    response.setHeader('location', `/things/${THING}`);
    response.setHeader('content-type', 'application/json');
    response.end(
      JSON.stringify({
        id: THING,
        owner: OWNER,
        state: busy < 0 ? 'done' : 'busy',
        tags: ['a', 'b'],
        token: 'abcdefghijklmnopqrstuvwxyz',
        created_at: '2026-01-02T03:04:05.678Z',
        updated_at: '2026-01-02T03:04:05.678Z',
      }),
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('no port');
  url = `http://127.0.0.1:${address.port}`;
});

afterAll(() => {
  server.close();
});

beforeEach(() => {
  asked = [];
  busy = 0;
});

const BODY = `{"id": "11111111-0000-7000-8000-000000000001",
 "owner": "11111111-0000-7000-8000-000000000002", "state": "done", "tags": ["a", "b"],
 "token": "zyx…abc", "created_at": "2030-01-01T00:00:00.000Z",
 "updated_at": "2030-01-01T00:00:00.001Z"}`;
const HEAD = 'HTTP/1.1 200 OK\nLocation: /things/11111111-0000-7000-8000-000000000001';
const RIGHT = `${HEAD}\n\n${BODY}`;

function pageOf(answer: string, prose = ''): string {
  return [
    prose,
    '```sh',
    'SHOP=http://shop.test',
    'curl -i $SHOP/things',
    '```',
    '',
    '```http',
    ...answer.split('\n'),
    '```',
    '',
  ].join('\n');
}

async function walk(markdown: string, received: readonly Message[] = []): Promise<void> {
  const addresses = [['http://shop.test', url]] as const;
  const it = new ApiWalk({ addresses, received: () => received, waitMsMax: WAIT_MS_MAX });
  for (const step of stepsOf(markdown)) await it.take(step);
}

async function expectRight(markdown: string, received?: readonly Message[]): Promise<void> {
  await expect(walk(markdown, received)).resolves.toBeUndefined();
}

async function expectWrong(markdown: string, received?: readonly Message[]): Promise<WalkError> {
  const error: unknown = await walk(markdown, received).catch((reason: unknown) => reason);
  if (error instanceof WalkError) return error;
  throw new Error('the page was found right', { cause: error });
}

describe('a page of commands and answers', () => {
  test('is right when the answers differ in ids, times and shortened texts alone', async () => {
    await expectRight(pageOf(RIGHT));
    await expectRight(pageOf(`${HEAD}\n\n{"state": "done", "tags": ["a", …], …}`));
  });

  test.each([
    ['another status', RIGHT.replace('200 OK', '201 Created'), 'the first line'],
    ['another header', RIGHT.replace('/things/', '/carts/'), 'Location'],
    ['an invented header', RIGHT.replace(HEAD, `${HEAD}\nETag: "1"`), 'ETag is missing'],
    ['a header left out', RIGHT.replace(HEAD, 'HTTP/1.1 200 OK'), 'Location is not shown'],
    ['another value', RIGHT.replace('"done"', '"open"'), 'body.state is "done", not "open"'],
    ['another type', RIGHT.replace('"done"', '1'), 'body.state'],
    ['a member left out', RIGHT.replace('"state": "done", ', ''), 'body.state'],
    ['an invented member', RIGHT.replace('"tags"', '"size": 1, "tags"'), 'body.size'],
    ['an entry left out', RIGHT.replace('"a", "b"', '"a"'), 'body.tags has 2 entries'],
    ['an entry too many', RIGHT.replace('"b"', '"b", "c"'), 'body.tags has 2 entries'],
    ['more where there is no more', RIGHT.replace('"b"', '"b", …'), 'body.tags'],
    ['two ids that are one', RIGHT.replace('0001', '0003'), 'body.id'],
    ['one id that is two', RIGHT.replace('0002', '0001'), 'body.owner'],
    ['no body', HEAD, 'body'],
  ])('is wrong with %s, and what to paste is told', async (_, answer, difference) => {
    const error = await expectWrong(pageOf(answer));
    expect(error.message).toContain(difference);
    expect(error.line).toBe(8);
    expect(error.paste).toContain('HTTP/1.1 200 OK\nLocation: /things/');
    expect(error.paste).toContain('"state": "done"');
    await expectRight(pageOf(error.paste));
  });

  test('has to mean the same by an id from then on', async () => {
    const first = pageOf(RIGHT);
    await expectRight(first + pageOf(`${HEAD}\n\n{"state": "done", …}`));
    const other = HEAD.replace('0001', '0009');
    await expectWrong(first + pageOf(`${other}\n\n{"state": "done", …}`));
  });

  test('may say that something is so a moment later, of a GET alone', async () => {
    busy = 3;
    const answer = `${HEAD}\n\n{"state": "done", …}`;
    await expectWrong(pageOf(answer));
    busy = 3;
    await expectRight(pageOf(answer, 'A moment later:'));
    expect(asked.length).toBe(1 + 4);
    busy = 1_000_000;
    const { message } = await expectWrong(pageOf(answer, 'A moment later:'));
    expect(message).toContain('body.state is "busy"');
    const post = pageOf(answer, 'A moment later:').replace('-i', '-i -X POST');
    await expect(walk(post)).rejects.toThrow(/cannot be repeated/);
  });

  test('sends what an answer showed in the words of this run', async () => {
    const next = pageOf(`${HEAD}\n\n{"state": "done", …}`).replace(
      'curl -i $SHOP/things',
      'TOKEN=zyx…abc\ncurl -i "$SHOP/things?after=2030-01-01T00:00:00.000Z" -H "Authorization: Bearer $TOKEN"',
    );
    await expectRight(pageOf(RIGHT) + next);
    expect(asked[1]?.url).toBe('/things?after=2026-01-02T03:04:05.678Z');
    expect(asked[1]?.headers.authorization).toBe('Bearer abcdefghijklmnopqrstuvwxyz');
    await expect(walk(next)).rejects.toThrow(/no answer showed/);
  });

  test('shows a delivery that came, and no other', async () => {
    const delivery = '```http\nPOST /hooks HTTP/1.1\nwebhook-id: 1\n\n{"type": "paid"}\n```';
    const came = { start: 'POST /hooks HTTP/1.1', headers: { 'webhook-id': '1' } };
    await expectRight(delivery, [
      { ...came, body: { type: 'created' } },
      { ...came, body: { type: 'paid' } },
    ]);
    const { message } = await expectWrong(delivery, [{ ...came, body: { type: 'created' } }]);
    expect(message).toContain('body.type is "created", not "paid"');
    await expect(walk(delivery)).rejects.toThrow(/nothing was delivered/);
  });

  test.each([
    ['```json\n{}\n```', /2: a block that nothing checks/],
    ['```http\nHTTP/1.1 200 OK\n```', /2: a block that nothing checks/],
    ['```sh\ncurl -i http://shop.test\n```\n\n```js\n```', /2: the command shows no answer/],
    ['```sh\ncurl -i http://shop.test', /2: a block without an end/],
    [pageOf('HTTP/1.1 200 OK\n\n{"a": 1'), /8: the body is not JSON/],
    [pageOf('HTTP/1.1 200 OK\nContent-Type'), /8: Content-Type is no header/],
  ])('is not understood: %j', (markdown, message) => {
    expect(() => stepsOf(markdown)).toThrow(message);
  });
});

describe('a command', () => {
  const variables = new Map([['SHOP', 'http://shop.test']]);

  it('is read as a shell reads it', () => {
    const command = `curl -i -X PATCH "$SHOP/a?b=1&c" \\
      -H 'If-Match: "1"' -H "Authorization: Bearer \\"$SHOP" --json '{"a": "'$SHOP'"}' # so`;
    expect(curlRequestOf(wordsOf(command, variables))).toEqual({
      method: 'PATCH',
      url: 'http://shop.test/a?b=1&c',
      headers: {
        'if-match': '"1"',
        authorization: 'Bearer "http://shop.test',
        'content-type': 'application/json',
        accept: 'application/json',
      },
      body: '{"a": "http://shop.test"}',
    });
  });

  it.each([
    ['curl -i $SHOP/a | jq .', /cannot read from here: \|/],
    ['curl -i $SHOP/a?b=1&c=2', /cannot read from here: \?b/],
    ['curl -i "$SHOP', /cannot read from here: "/],
    ['curl -i $LOST/a', /\$LOST has no value yet/],
    ['curl -i "$LOST/a"', /\$LOST has no value yet/],
    ['curl $SHOP/a', /-i is missing/],
    ['curl -i', /no address/],
    ['curl -i -s $SHOP', /-s is an option/],
    ['curl -i $SHOP $SHOP', /a second address/],
    ['curl -i $SHOP -H', /lacks its value/],
    ['curl -i $SHOP -H Accept', /Accept is no header/],
    ['wget $SHOP', /wget is not curl/],
  ])('that is not plain is refused: %s', (command, message) => {
    expect(() => curlRequestOf(wordsOf(command, variables))).toThrow(message);
  });
});
