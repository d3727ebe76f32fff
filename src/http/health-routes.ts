import type { FastifyInstance } from 'fastify';
import { z } from 'zod';

import type { Readiness } from '../domain/ports.ts';
import { jsonSchemaOf } from './json-schema.ts';
import { sendProblem } from './problem.ts';
import { documented } from './route-doc.ts';

const LIVE = documented({
  operationId: 'live',
  summary: 'The process answers',
  tag: 'operation',
  auth: 'none',
  success: {
    status: 200,
    description: 'It is alive.',
    schema: jsonSchemaOf(z.object({ status: z.literal('live') })),
  },
  uncounted: true,
  errors: [],
});

const READY = documented({
  operationId: 'ready',
  summary: 'Orders can be decided',
  tag: 'operation',
  auth: 'none',
  success: {
    status: 200,
    description: 'It is ready.',
    schema: jsonSchemaOf(z.object({ status: z.literal('ready') })),
  },
  uncounted: true,
  errors: ['not-ready'],
});

/** Adds GET /health/live and GET /health/ready. */
export function addHealthRoutes(app: FastifyInstance, readiness: Readiness): void {
  app.get('/health/live', LIVE, async () => ({ status: 'live' }));

  app.get('/health/ready', READY, async (_request, reply) => {
    const state = readiness.check();
    return state.ready
      ? { status: 'ready' }
      : sendProblem(reply, 'not-ready', { reason: state.reason });
  });
}
