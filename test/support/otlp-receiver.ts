/**
 * A collector of the tests: takes OTLP over HTTP as protobuf and keeps the spans. Its decoder knows
 * the few fields it looks at by their numbers in opentelemetry-proto's trace.proto, not by the code
 * that encoded them.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage, Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export type AttributeValue = string | number | boolean | readonly AttributeValue[] | null;
export type Attributes = Readonly<Record<string, AttributeValue>>;

export interface ReceivedLink {
  readonly traceId: string;
  readonly spanId: string;
}

export interface ReceivedSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** Empty for the first of a trace. */
  readonly parentSpanId: string;
  readonly name: string;
  readonly kind: 'internal' | 'server' | 'client' | 'other';
  /** Milliseconds since the epoch. */
  readonly start: number;
  readonly end: number;
  readonly attributes: Attributes;
  readonly links: readonly ReceivedLink[];
  readonly isError: boolean;
  readonly scope: string;
  readonly resource: Attributes;
}

/** What to do with an export: answer, answer with 500, or say nothing for ever. */
type Mode = 'take' | 'fail' | 'hang';

export class OtlpReceiver {
  readonly spans: ReceivedSpan[] = [];
  /** Of each export. */
  readonly requests: { readonly url: string; readonly headers: IncomingHttpHeaders }[] = [];
  mode: Mode = 'take';
  readonly #server: Server;

  private constructor() {
    this.#server = createServer(
      (request, response) =>
        void bytesOf(request).then((bytes) => {
          this.requests.push({ url: request.url ?? '', headers: request.headers });
          if (this.mode === 'hang') return;
          if (this.mode === 'take') this.spans.push(...decodeExport(bytes));
          response.statusCode = this.mode === 'take' ? 200 : 500;
          response.end();
        }),
    );
  }

  /** @param port - 0 = any free one */
  static async start(port = 0): Promise<OtlpReceiver> {
    const receiver = new OtlpReceiver();
    receiver.#server.listen(port, '127.0.0.1');
    await once(receiver.#server, 'listening');
    return receiver;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** For OTEL_EXPORTER_OTLP_ENDPOINT. */
  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  named(name: string): readonly ReceivedSpan[] {
    return this.spans.filter((span) => span.name === name);
  }

  /** Those under a span, in the order of their start. */
  childrenOf(parent: ReceivedSpan): readonly ReceivedSpan[] {
    return this.spans
      .filter((span) => span.parentSpanId === parent.spanId && span.traceId === parent.traceId)
      .toSorted((a, b) => a.start - b.start);
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

async function bytesOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

const KINDS = ['other', 'internal', 'server', 'client'] as const;
const STATUS_ERROR = 2;

/** ExportTraceServiceRequest -> ResourceSpans -> ScopeSpans -> Span. */
function decodeExport(bytes: Buffer): ReceivedSpan[] {
  return new Message(bytes).messages(1).flatMap((resourceSpans) => {
    const resource = attributesOf(resourceSpans.messages(1)[0]?.messages(1) ?? []);
    return resourceSpans.messages(2).flatMap((scopeSpans) => {
      const scope = scopeSpans.messages(1)[0]?.text(1) ?? '';
      return scopeSpans.messages(2).map((span) => ({ ...decodeSpan(span), scope, resource }));
    });
  });
}

function decodeSpan(span: Message): Omit<ReceivedSpan, 'scope' | 'resource'> {
  return {
    traceId: span.hex(1),
    spanId: span.hex(2),
    parentSpanId: span.hex(4),
    name: span.text(5),
    kind: KINDS[span.number(6)] ?? 'other',
    start: millis(span.number(7)),
    end: millis(span.number(8)),
    attributes: attributesOf(span.messages(9)),
    links: span.messages(13).map((link) => ({ traceId: link.hex(1), spanId: link.hex(2) })),
    isError: span.messages(15)[0]?.number(3) === STATUS_ERROR,
  };
}

/** To the microsecond: the sender counted in doubles. */
function millis(nanos: number): number {
  return Math.round(nanos / 1e3) / 1e3;
}

function attributesOf(pairs: readonly Message[]): Attributes {
  return Object.fromEntries(pairs.map((pair) => [pair.text(1), valueOf(pair.messages(2)[0])]));
}

/** AnyValue: one of string, bool, int, double, array. */
function valueOf(value: Message | undefined): AttributeValue {
  if (value === undefined) return null;
  if (value.has(1)) return value.text(1);
  if (value.has(2)) return value.number(2) !== 0;
  if (value.has(3)) return value.number(3);
  if (value.has(4)) return value.double(4);
  return value.messages(5).flatMap((list) => list.messages(1).map(valueOf));
}

/** Protobuf's wire format: numbered fields of four kinds. */
class Message {
  readonly #fields: { readonly no: number; readonly value: bigint | Buffer }[] = [];

  constructor(bytes: Buffer) {
    let at = 0;
    const varint = (): bigint => {
      let value = 0n;
      for (let shift = 0n; ; shift += 7n) {
        const byte = bytes.readUInt8(at);
        at += 1;
        value |= BigInt(byte & 0x7f) << shift;
        if (byte < 0x80) return BigInt.asIntN(64, value);
      }
    };
    const take = (length: number): Buffer => bytes.subarray(at, (at += length));
    while (at < bytes.length) {
      const key = Number(varint());
      const no = key >>> 3;
      const kind = key & 7;
      if (kind === 0) this.#fields.push({ no, value: varint() });
      else if (kind === 1) this.#fields.push({ no, value: take(8) });
      else if (kind === 2) this.#fields.push({ no, value: take(Number(varint())) });
      else if (kind === 5) this.#fields.push({ no, value: take(4) });
      else throw new Error(`no protobuf: field ${no} of kind ${kind}`);
    }
  }

  has(no: number): boolean {
    return this.#fields.some((field) => field.no === no);
  }

  messages(no: number): Message[] {
    return this.#fields
      .filter((field) => field.no === no)
      .map(({ value }) => new Message(bytes(value)));
  }

  text(no: number): string {
    return this.#bytes(no).toString('utf8');
  }

  hex(no: number): string {
    return this.#bytes(no).toString('hex');
  }

  double(no: number): number {
    return this.#bytes(no).readDoubleLE();
  }

  /** A varint, or a fixed number of 4 or 8 bytes; 0 when it is not there. */
  number(no: number): number {
    const value = this.#fields.find((field) => field.no === no)?.value ?? 0n;
    if (typeof value === 'bigint') return Number(value);
    return value.length === 8 ? Number(value.readBigUInt64LE()) : value.readUInt32LE();
  }

  #bytes(no: number): Buffer {
    return bytes(this.#fields.find((field) => field.no === no)?.value ?? Buffer.alloc(0));
  }
}

function bytes(value: bigint | Buffer): Buffer {
  if (typeof value === 'bigint') throw new Error('a number where bytes should be');
  return value;
}
