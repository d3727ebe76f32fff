/**
 * GET /metrics, for a Prometheus: with METRICS_TOKEN whoever has it, without one this machine only.
 *
 * Local is what comes from a loopback address and has not been passed on. The client's address as
 * TRUST_PROXY reads it would not do: it is what a header says. Nor does the socket's alone: a proxy
 * on this machine makes every customer look local, so whatever a proxy has signed is refused. One
 * that signs nothing cannot be told from a local program; behind such a proxy a token is needed.
 */
import { hash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { BlockList, isIPv6 } from 'node:net';
import type { FastifyInstance } from 'fastify';

import { sendProblem } from './problem.ts';
import { documented } from './route-doc.ts';

/** What the route needs. */
export interface MetricsDeps {
  /** The text to answer with. */
  readonly render: () => Promise<string>;
  /** Null = only this machine is answered. */
  readonly token: string | null;
}

/** Of Prometheus's text format; version 3 refuses an answer that does not say so. */
const MEDIA_TYPE = 'text/plain; version=0.0.4; charset=utf-8';
const BEARER = /^bearer +(?<token>[\x21-\x7e]+)$/i;
/** Each of them is added by one proxy or another. */
const PASSED_ON = ['forwarded', 'via', 'x-forwarded-for', 'x-forwarded-host', 'x-real-ip'];

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

const OPTIONS = documented({
  operationId: 'metrics',
  summary: 'What the service does, for Prometheus',
  tag: 'operation',
  auth: 'none',
  success: {
    status: 200,
    description:
      'Metrics. With METRICS_TOKEN set it must be sent as a bearer token, else only requests from the machine itself are answered.',
    schema: { type: 'string' },
    mediaType: 'text/plain',
  },
  uncounted: true,
  errors: ['unauthenticated', 'forbidden'],
});

/** Adds GET /metrics. */
export function addMetricsRoute(app: FastifyInstance, { render, token }: MetricsDeps): void {
  const digest = token === null ? null : digestOf(token);

  app.get('/metrics', OPTIONS, async (request, reply) => {
    if (digest === null) {
      if (!isLocal(request.raw)) return sendProblem(reply, 'forbidden');
    } else {
      const sent = BEARER.exec(request.raw.headers.authorization ?? '')?.groups?.['token'];
      // Digests are of one length, and how far two of them agree says nothing of the token.
      if (sent === undefined || !timingSafeEqual(digestOf(sent), digest)) {
        return sendProblem(reply, 'unauthenticated');
      }
    }
    return reply.header('content-type', MEDIA_TYPE).send(await render());
  });
}

function digestOf(text: string): Buffer {
  return hash('sha256', text, 'buffer');
}

function isLocal({ headers, socket }: IncomingMessage): boolean {
  const { remoteAddress } = socket;
  if (remoteAddress === undefined || PASSED_ON.some((name) => name in headers)) return false;
  return LOOPBACK.check(remoteAddress, isIPv6(remoteAddress) ? 'ipv6' : 'ipv4');
}
