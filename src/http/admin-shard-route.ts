import type { FastifyInstance, FastifyReply } from 'fastify';

import type { OwnerId } from '../domain/ids.ts';
import type { EngineControl, Inspector, ShardView } from '../domain/inspection.ts';
import { failed, performAction } from './admin-action.ts';
import type { ActionEnd, ActionRecords } from './admin-action.ts';
import {
  ACTION_BYTES_MAX,
  actionBody,
  restartedShardSchema,
  shardParams,
} from './admin-schemas.ts';
import type { ActionBody, ShardParams } from './admin-schemas.ts';
import type { AuthenticateHook } from './authenticate.ts';
import { jsonSchemaOf } from './json-schema.ts';
import { sendProblem } from './problem.ts';
import { documented } from './route-doc.ts';
import { keyHeaders } from './shared-schemas.ts';

/** What the route needs. */
export interface AdminShardDeps extends ActionRecords {
  readonly inspector: Inspector;
  readonly control: EngineControl;
  /** Lets admins through. */
  readonly authenticate: AuthenticateHook;
}

const OPTIONS = documented({
  operationId: 'restartShard',
  summary: 'End the owner of a shard, and have another one take its products over',
  tag: 'admin',
  auth: 'required',
  rare: true,
  params: shardParams,
  headers: keyHeaders,
  body: { schema: actionBody, bytesMax: ACTION_BYTES_MAX },
  success: {
    status: 200,
    description: 'Another owner serves.',
    schema: jsonSchemaOf(restartedShardSchema),
    headers: {
      'Idempotency-Replayed': '`true` when an earlier request did it; the owner is that of now.',
    },
  },
  errors: [
    'forbidden',
    'not-found',
    'idempotency-key-reused',
    'database-unavailable',
    'outcome-unknown',
  ],
});

/** Adds POST /admin/shards/{n}/restart. */
export function addAdminShardRoute(app: FastifyInstance, deps: AdminShardDeps): void {
  const { inspector, control, authenticate } = deps;

  async function findShard(shard: number): Promise<ShardView | undefined> {
    return (await inspector.shards()).find((view) => view.shard === shard);
  }

  app.post<{ Params: ShardParams; Body: ActionBody }>(
    '/admin/shards/:n/restart',
    { ...OPTIONS, onRequest: authenticate },
    async (request, reply) => {
      const shard = Number(request.params.n);
      if ((await findShard(shard)) === undefined) return sendProblem(reply, 'not-found');
      const endOf = (ownerId: OwnerId | undefined): ActionEnd =>
        ownerId === undefined
          ? failed(reply, 'outcome-unknown')
          : { outcome: 'done', send: () => sendOwner(reply, { shard, ownerId }) };
      /** The owner, if it serves. */
      const present = async (): Promise<ActionEnd> => {
        const view = await findShard(shard);
        return endOf(view?.state === 'serving' ? view.ownerId : undefined);
      };
      const action = {
        kind: 'restart',
        target: String(shard),
        reason: request.body.reason,
        // One that took too long was begun all the same: whoever asks again wants to know its end.
        perform: async (earlier: string | null) =>
          earlier === 'outcome-unknown' ? present() : endOf(await control.restartShard(shard)),
        sendPresent: async () => (await present()).send(),
      } as const;
      return performAction(deps, action, reply);
    },
  );
}

function sendOwner(
  reply: FastifyReply,
  { shard, ownerId }: Pick<ShardView, 'shard' | 'ownerId'>,
): FastifyReply {
  return reply.send({ shard, owner_id: ownerId });
}
