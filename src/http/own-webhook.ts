import type { FastifyRequest } from 'fastify';

import { parseWebhookId } from '../domain/ids.ts';
import type { Identity } from '../domain/user.ts';
import type { WebhookOfUser } from '../domain/webhook.ts';
import { identityOf } from './authenticate.ts';
import type { IdParams } from './shared-schemas.ts';

/** Whether the asker may have webhooks: merchants of what is theirs, admins of everything. */
export function mayHaveWebhooks({ role }: Identity): boolean {
  return role === 'merchant' || role === 'admin';
}

/** The webhook of the path, as one of whoever asks: whether it is one is decided then. */
export function ownWebhookOf(request: FastifyRequest<{ Params: IdParams }>): WebhookOfUser {
  const webhookId = parseWebhookId(request.params.id);
  if (webhookId === undefined) throw new Error('a webhook id passed validation and is none');
  return { userId: identityOf(request).userId, webhookId };
}
