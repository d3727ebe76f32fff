/** A server that webhooks are sent to: it checks every signature, and can go away and come back. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { Webhook } from 'standardwebhooks';

/** An event as it arrived, with the path that it was sent to. */
export interface Received {
  readonly path: string;
  readonly id: string;
  readonly type: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export class WebhookReceiver {
  readonly received: Received[] = [];
  /** What was not signed with the secret of its path. */
  readonly forged: string[] = [];
  readonly #secrets = new Map<string, string>();
  #server: Server | null = null;
  #port = 0;

  static async start(): Promise<WebhookReceiver> {
    const receiver = new WebhookReceiver();
    await receiver.comeBack();
    return receiver;
  }

  urlOf(path: string): string {
    return `http://127.0.0.1:${this.#port}${path}`;
  }

  trust(path: string, secret: string): void {
    this.#secrets.set(path, secret);
  }

  /** Of one path. */
  at(path: string): readonly Received[] {
    return this.received.filter((event) => event.path === path);
  }

  async comeBack(): Promise<void> {
    const server = createServer((request, response) => void this.#take(request, response));
    server.listen(this.#port, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (typeof address !== 'object' || address === null) throw new Error('no port');
    this.#port = address.port;
    this.#server = server;
  }

  async goAway(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    if (server === null) return;
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? '';
    try {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const headers = Object.entries(request.headers).map(([name, value]) => [name, String(value)]);
      const verifier = new Webhook(this.#secrets.get(path) ?? '');
      const event = verifier.verify(Buffer.concat(chunks), Object.fromEntries(headers));
      const { type, data } = event as Pick<Received, 'type' | 'data'>;
      this.received.push({ path, id: String(request.headers['webhook-id']), type, data });
      response.writeHead(204).end();
    } catch (error) {
      // A request that was cut off is none.
      if (request.complete) this.forged.push(`${path}: ${String(error)}`);
      response.destroy();
    }
  }
}
