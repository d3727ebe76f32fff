/** What was sent to a webhook, or is to be. */
import type { FastifyInstance, FastifyReply } from 'fastify';

import { unreachable } from '../domain/errors.ts';
import { parseDeliveryId } from '../domain/ids.ts';
import type { ReplayOutcome, Webhooks } from '../domain/webhook.ts';
import { identityOf } from './authenticate.ts';
import type { AuthenticateHook } from './authenticate.ts';
import { idempotencyKeyOf } from './idempotency-key.ts';
import { pageSchemaOf, schemaRef } from './json-schema.ts';
import { mayHaveWebhooks, ownWebhookOf } from './own-webhook.ts';
import { CURSOR_ISSUE, pageJson, pageRequestOf } from './page-request.ts';
import { sendProblem } from './problem.ts';
import { documented } from './route-doc.ts';
import { idParams, keyHeaders } from './shared-schemas.ts';
import type { IdParams } from './shared-schemas.ts';
import { deliveryJson } from './webhook-json.ts';
import { deliveryParams, listDeliveriesQuery } from './webhook-schemas.ts';
import type { DeliveryParams, ListDeliveriesQuery } from './webhook-schemas.ts';

/** What the routes need. */
export interface WebhookDeliveryDeps {
  readonly webhooks: Webhooks;
  readonly authenticate: AuthenticateHook;
}

const LIST = documented({
  operationId: 'listWebhookDeliveries',
  summary: 'What was sent to one of your webhooks, or is to be, newest first',
  tag: 'webhooks',
  auth: 'required',
  params: idParams,
  query: listDeliveriesQuery,
  success: {
    status: 200,
    description:
      'A page of deliveries. What was delivered is kept for 7 days, what is dead for 30.',
    schema: pageSchemaOf('WebhookDelivery'),
  },
  errors: ['forbidden', 'webhook-not-found', 'database-unavailable'],
});

const REPLAY = documented({
  operationId: 'replayWebhookDelivery',
  summary: 'Send an event again, whether it arrived, was given up, or waits for its next try',
  tag: 'webhooks',
  auth: 'required',
  params: deliveryParams,
  headers: keyHeaders,
  success: {
    status: 200,
    description: 'The delivery, now due.',
    schema: schemaRef('WebhookDelivery'),
    headers: { 'Idempotency-Replayed': '`true` when an earlier request asked for it.' },
  },
  errors: [
    'forbidden',
    'webhook-not-found',
    'delivery-not-found',
    'webhook-inactive',
    'idempotency-key-reused',
    'database-unavailable',
    'outcome-unknown',
  ],
});

/** Adds GET /webhooks/{id}/deliveries and POST /webhooks/{id}/deliveries/{delivery_id}/replay. */
export function addWebhookDeliveryRoutes(app: FastifyInstance, deps: WebhookDeliveryDeps): void {
  const { webhooks, authenticate } = deps;

  app.get<{ Params: IdParams; Querystring: ListDeliveriesQuery }>(
    '/webhooks/:id/deliveries',
    { ...LIST, onRequest: authenticate },
    async (request, reply) => {
      if (!mayHaveWebhooks(identityOf(request))) return sendProblem(reply, 'forbidden');
      const page = pageRequestOf(request.query);
      if (page === undefined) return sendProblem(reply, 'validation', { errors: [CURSOR_ISSUE] });
      const { status = null } = request.query;
      const deliveries = await webhooks.listDeliveries(ownWebhookOf(request), status, page);
      return deliveries === undefined
        ? sendProblem(reply, 'webhook-not-found')
        : pageJson(deliveries, deliveryJson);
    },
  );

  app.post<{ Params: DeliveryParams }>(
    '/webhooks/:id/deliveries/:delivery_id/replay',
    { ...REPLAY, onRequest: authenticate },
    async (request, reply) => {
      if (!mayHaveWebhooks(identityOf(request))) return sendProblem(reply, 'forbidden');
      const deliveryId = parseDeliveryId(request.params.delivery_id);
      if (deliveryId === undefined) return sendProblem(reply, 'delivery-not-found');
      const idempotencyKey = idempotencyKeyOf(request.raw.headers);
      const asked = { deliveryId, idempotencyKey };
      return answer(reply, await webhooks.replayDelivery(ownWebhookOf(request), asked));
    },
  );
}

/** Total over the outcomes. */
function answer(reply: FastifyReply, outcome: ReplayOutcome): FastifyReply {
  switch (outcome.type) {
    case 'due':
      if (outcome.replayed) reply.header('idempotency-replayed', 'true');
      return reply.send(deliveryJson(outcome.delivery));
    case 'refused':
      return sendProblem(reply, outcome.code);
    case 'key-reused':
      return sendProblem(reply, 'idempotency-key-reused');
    default:
      return unreachable(outcome);
  }
}
