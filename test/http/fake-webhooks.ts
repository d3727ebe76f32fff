import { parseDeliveryId, parseWebhookId } from '../../src/domain/ids.ts';
import type { DeliveryId, UserId, WebhookId } from '../../src/domain/ids.ts';
import type { Page, PageRequest } from '../../src/domain/ports.ts';
import type {
  CreateWebhookOutcome,
  Delivery,
  DeliveryStatus,
  ReplayOutcome,
  Webhook,
  WebhookChanges,
  WebhookOfUser,
  Webhooks,
  WebhookTargets,
} from '../../src/domain/webhook.ts';

const known = <T>(id: T | undefined): T => {
  if (id === undefined) throw new Error('not an id');
  return id;
};
const uuid = (kind: string, n: number): string =>
  `00000000-0000-7000-8${kind}-${String(n).padStart(12, '0')}`;

export const webhookId = (n: number): WebhookId => known(parseWebhookId(uuid('005', n)));
export const deliveryId = (n: number): DeliveryId => known(parseDeliveryId(uuid('006', n)));

/** Answers what it is told to, and remembers what it was asked. */
export class FakeWebhooks implements Webhooks {
  readonly rows: Webhook[] = [];
  readonly created: Parameters<Webhooks['createWebhook']>[0][] = [];
  readonly changes: WebhookChanges[] = [];
  readonly lists: { readonly userId: UserId; readonly page: PageRequest }[] = [];
  readonly deliveryLists: { readonly status: DeliveryStatus | null; readonly page: PageRequest }[] =
    [];
  readonly replays: (WebhookOfUser & Parameters<Webhooks['replayDelivery']>[1])[] = [];
  createOutcome: CreateWebhookOutcome = { type: 'key-reused' };
  replayOutcome: ReplayOutcome = { type: 'key-reused' };
  deliveries: Page<Delivery> = { items: [], next: null };

  async createWebhook(
    request: Parameters<Webhooks['createWebhook']>[0],
  ): Promise<CreateWebhookOutcome> {
    this.created.push(request);
    return this.createOutcome;
  }

  async findWebhook(webhook: WebhookOfUser): Promise<Webhook | undefined> {
    return this.rows.find(
      ({ id, userId }) => id === webhook.webhookId && userId === webhook.userId,
    );
  }

  async listWebhooks(userId: UserId, page: PageRequest): Promise<Page<Webhook>> {
    this.lists.push({ userId, page });
    return { items: this.rows.filter((row) => row.userId === userId), next: null };
  }

  async changeWebhook(
    webhook: WebhookOfUser,
    changes: WebhookChanges,
  ): Promise<Webhook | undefined> {
    this.changes.push(changes);
    return this.findWebhook(webhook);
  }

  async deleteWebhook(webhook: WebhookOfUser): Promise<boolean> {
    return (await this.findWebhook(webhook)) !== undefined;
  }

  async listDeliveries(
    webhook: WebhookOfUser,
    status: DeliveryStatus | null,
    page: PageRequest,
  ): Promise<Page<Delivery> | undefined> {
    this.deliveryLists.push({ status, page });
    return (await this.findWebhook(webhook)) === undefined ? undefined : this.deliveries;
  }

  async replayDelivery(
    webhook: WebhookOfUser,
    request: Parameters<Webhooks['replayDelivery']>[1],
  ): Promise<ReplayOutcome> {
    this.replays.push({ ...webhook, ...request });
    return this.replayOutcome;
  }
}

export class FakeTargets implements WebhookTargets {
  refused: string | undefined;

  refusal(): string | undefined {
    return this.refused;
  }
}
