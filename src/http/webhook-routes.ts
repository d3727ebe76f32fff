/** Webhooks; what was sent to them, or is to be, has a file of its own. */
import type { FastifyInstance, FastifyReply } from 'fastify';

import { unreachable } from '../domain/errors.ts';
import type { CreateWebhookOutcome, Webhooks, WebhookTargets } from '../domain/webhook.ts';
import { identityOf } from './authenticate.ts';
import type { AuthenticateHook } from './authenticate.ts';
import { idempotencyKeyOf } from './idempotency-key.ts';
import { pageSchemaOf, schemaRef } from './json-schema.ts';
import { mayHaveWebhooks, ownWebhookOf } from './own-webhook.ts';
import { CURSOR_ISSUE, pageJson, pageRequestOf } from './page-request.ts';
import { sendProblem } from './problem.ts';
import type { Issue } from './problem.ts';
import { documented } from './route-doc.ts';
import { idParams, keyHeaders, pageQuery } from './shared-schemas.ts';
import type { IdParams, PageQuery } from './shared-schemas.ts';
import { webhookJson } from './webhook-json.ts';
import { changeWebhookBody, createWebhookBody, WEBHOOK_BYTES_MAX } from './webhook-schemas.ts';
import type { ChangeWebhookBody, CreateWebhookBody } from './webhook-schemas.ts';

/** What the routes need. */
export interface WebhookDeps {
  readonly webhooks: Webhooks;
  readonly webhookTargets: WebhookTargets;
  readonly authenticate: AuthenticateHook;
}

const CREATE = documented({
  operationId: 'createWebhook',
  summary: 'Have events sent to you',
  tag: 'webhooks',
  auth: 'required',
  headers: keyHeaders,
  body: { schema: createWebhookBody, bytesMax: WEBHOOK_BYTES_MAX },
  success: {
    status: 201,
    description: 'The webhook with its secret, which is shown only here.',
    schema: schemaRef('NewWebhook'),
    headers: {
      Location: 'The address of the webhook.',
      'Idempotency-Replayed': '`true` when an earlier request made it.',
    },
  },
  errors: [
    'forbidden',
    'too-many-webhooks',
    'idempotency-key-reused',
    'database-unavailable',
    'outcome-unknown',
  ],
});

const LIST = documented({
  operationId: 'listWebhooks',
  summary: 'Your webhooks, newest first',
  tag: 'webhooks',
  auth: 'required',
  query: pageQuery,
  success: { status: 200, description: 'A page of webhooks.', schema: pageSchemaOf('Webhook') },
  errors: ['forbidden', 'database-unavailable'],
});

const GET = documented({
  operationId: 'getWebhook',
  summary: 'One of your webhooks',
  tag: 'webhooks',
  auth: 'required',
  params: idParams,
  success: { status: 200, description: 'The webhook.', schema: schemaRef('Webhook') },
  errors: ['forbidden', 'webhook-not-found', 'database-unavailable'],
});

const CHANGE = documented({
  operationId: 'changeWebhook',
  summary: 'Change one of your webhooks; what is left out stays',
  tag: 'webhooks',
  auth: 'required',
  params: idParams,
  body: { schema: changeWebhookBody, bytesMax: WEBHOOK_BYTES_MAX },
  success: { status: 200, description: 'As it now is.', schema: schemaRef('Webhook') },
  errors: ['forbidden', 'webhook-not-found', 'database-unavailable', 'outcome-unknown'],
});

const DELETE = documented({
  operationId: 'deleteWebhook',
  summary: 'Delete one of your webhooks, and what was to be sent to it',
  tag: 'webhooks',
  auth: 'required',
  params: idParams,
  success: { status: 204, description: 'It is gone.', schema: null },
  errors: ['forbidden', 'webhook-not-found', 'database-unavailable', 'outcome-unknown'],
});

/** Adds POST and GET /webhooks, and GET, PATCH and DELETE /webhooks/{id}. */
export function addWebhookRoutes(app: FastifyInstance, deps: WebhookDeps): void {
  addCreate(app, deps);
  addChange(app, deps);
  const { webhooks, authenticate } = deps;

  app.get<{ Querystring: PageQuery }>(
    '/webhooks',
    { ...LIST, onRequest: authenticate },
    async (request, reply) => {
      const identity = identityOf(request);
      if (!mayHaveWebhooks(identity)) return sendProblem(reply, 'forbidden');
      const page = pageRequestOf(request.query);
      if (page === undefined) return sendProblem(reply, 'validation', { errors: [CURSOR_ISSUE] });
      return pageJson(await webhooks.listWebhooks(identity.userId, page), webhookJson);
    },
  );

  app.get<{ Params: IdParams }>(
    '/webhooks/:id',
    { ...GET, onRequest: authenticate },
    async (request, reply) => {
      if (!mayHaveWebhooks(identityOf(request))) return sendProblem(reply, 'forbidden');
      const webhook = await webhooks.findWebhook(ownWebhookOf(request));
      return webhook === undefined ? sendProblem(reply, 'webhook-not-found') : webhookJson(webhook);
    },
  );

  app.delete<{ Params: IdParams }>(
    '/webhooks/:id',
    { ...DELETE, onRequest: authenticate },
    async (request, reply) => {
      if (!mayHaveWebhooks(identityOf(request))) return sendProblem(reply, 'forbidden');
      const deleted = await webhooks.deleteWebhook(ownWebhookOf(request));
      return deleted ? reply.code(204).send() : sendProblem(reply, 'webhook-not-found');
    },
  );
}

function addCreate(app: FastifyInstance, deps: WebhookDeps): void {
  app.post<{ Body: CreateWebhookBody }>(
    '/webhooks',
    { ...CREATE, onRequest: deps.authenticate },
    async (request, reply) => {
      const identity = identityOf(request);
      if (!mayHaveWebhooks(identity)) return sendProblem(reply, 'forbidden');
      const { url, events } = request.body;
      const issue = urlIssue(deps.webhookTargets, url);
      if (issue !== undefined) return sendProblem(reply, 'validation', { errors: [issue] });
      const { userId, role } = identity;
      const outcome = await deps.webhooks.createWebhook({
        userId,
        merchantId: role === 'admin' ? null : userId,
        idempotencyKey: idempotencyKeyOf(request.raw.headers),
        url,
        events,
      });
      return answerCreated(reply, outcome);
    },
  );
}

function addChange(app: FastifyInstance, deps: WebhookDeps): void {
  app.patch<{ Params: IdParams; Body: ChangeWebhookBody }>(
    '/webhooks/:id',
    { ...CHANGE, onRequest: deps.authenticate },
    async (request, reply) => {
      if (!mayHaveWebhooks(identityOf(request))) return sendProblem(reply, 'forbidden');
      const { url } = request.body;
      const issue = url === undefined ? undefined : urlIssue(deps.webhookTargets, url);
      if (issue !== undefined) return sendProblem(reply, 'validation', { errors: [issue] });
      const webhook = await deps.webhooks.changeWebhook(ownWebhookOf(request), request.body);
      return webhook === undefined ? sendProblem(reply, 'webhook-not-found') : webhookJson(webhook);
    },
  );
}

function urlIssue(targets: WebhookTargets, url: string): Issue | undefined {
  const message = targets.refusal(url);
  return message === undefined ? undefined : { path: 'url', message };
}

/** Total over the outcomes. */
function answerCreated(reply: FastifyReply, outcome: CreateWebhookOutcome): FastifyReply {
  switch (outcome.type) {
    case 'created': {
      const { webhook, secret, replayed } = outcome;
      if (replayed) reply.header('idempotency-replayed', 'true');
      reply.code(201).header('location', `/webhooks/${webhook.id}`);
      return reply.send({ ...webhookJson(webhook), secret });
    }
    case 'refused':
      return sendProblem(reply, outcome.code);
    case 'key-reused':
      return sendProblem(reply, 'idempotency-key-reused');
    default:
      return unreachable(outcome);
  }
}
