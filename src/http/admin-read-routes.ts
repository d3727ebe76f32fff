/** What an operator sees of the engine. Asking costs the orders nothing: see domain/inspection.ts. */
import type { FastifyInstance } from 'fastify';

import { PAGE_LIMIT_DEFAULT } from '../domain/bounds.ts';
import { parseProductId } from '../domain/ids.ts';
import type { Inspector } from '../domain/inspection.ts';
import type { OperatorLog } from '../domain/operator-action.ts';
import type { Catalogue } from '../domain/ports.ts';
import {
  actorJson,
  batchJson,
  idleActorJson,
  operatorActionJson,
  shardJson,
} from './admin-json.ts';
import { actorParams, actorsQuery, batchesQuery } from './admin-schemas.ts';
import type { ActorParams, ActorsQuery, BatchesQuery } from './admin-schemas.ts';
import type { AuthenticateHook } from './authenticate.ts';
import { listSchemaOf, pageSchemaOf, schemaRef } from './json-schema.ts';
import { CURSOR_ISSUE, pageJson, pageRequestOf } from './page-request.ts';
import { sendProblem } from './problem.ts';
import { documented } from './route-doc.ts';
import { pageQuery } from './shared-schemas.ts';
import type { PageQuery } from './shared-schemas.ts';

/** What the routes need. */
export interface AdminReadDeps {
  readonly inspector: Inspector;
  readonly operatorLog: OperatorLog;
  readonly catalogue: Catalogue;
  /** Lets admins through. */
  readonly authenticate: AuthenticateHook;
}

const ACTORS = documented({
  operationId: 'listActors',
  summary: 'The products that matter most right now, as their actors are',
  tag: 'admin',
  auth: 'required',
  rare: true,
  query: actorsQuery,
  success: {
    status: 200,
    description: 'At most half a second old; without those of shards that do not answer.',
    schema: listSchemaOf('Actor'),
  },
  errors: ['forbidden'],
});

const ACTOR = documented({
  operationId: 'getActor',
  summary: "One product's actor",
  tag: 'admin',
  auth: 'required',
  rare: true,
  params: actorParams,
  success: {
    status: 200,
    description: 'What is not known of a product that is not in memory is null.',
    schema: schemaRef('Actor'),
  },
  errors: ['forbidden', 'product-not-found', 'database-unavailable'],
});

const SHARDS = documented({
  operationId: 'listShards',
  summary: 'The shards of this process',
  tag: 'admin',
  auth: 'required',
  rare: true,
  success: { status: 200, description: 'All of them.', schema: listSchemaOf('Shard') },
  errors: ['forbidden'],
});

const BATCHES = documented({
  operationId: 'listBatches',
  summary: 'The last batches, newest first',
  tag: 'admin',
  auth: 'required',
  rare: true,
  query: batchesQuery,
  success: {
    status: 200,
    description: 'Of those that are remembered: the last 200 of each shard.',
    schema: listSchemaOf('Batch'),
  },
  errors: ['forbidden'],
});

const ACTIONS = documented({
  operationId: 'listOperatorActions',
  summary: 'What operators did, newest first',
  tag: 'admin',
  auth: 'required',
  rare: true,
  query: pageQuery,
  success: {
    status: 200,
    description: 'A page of actions.',
    schema: pageSchemaOf('OperatorAction'),
  },
  errors: ['forbidden', 'database-unavailable'],
});

/** Adds GET /admin/actors, /admin/actors/{product_id}, /admin/shards, /batches and /actions. */
export function addAdminReadRoutes(app: FastifyInstance, deps: AdminReadDeps): void {
  const { inspector, catalogue, operatorLog, authenticate: onRequest } = deps;

  app.get<{ Querystring: ActorsQuery }>(
    '/admin/actors',
    { ...ACTORS, onRequest },
    async (request) => {
      const { sort = 'rate', limit = PAGE_LIMIT_DEFAULT } = request.query;
      return { items: (await inspector.actors({ sort, limit })).map(actorJson) };
    },
  );

  app.get<{ Params: ActorParams }>(
    '/admin/actors/:product_id',
    { ...ACTOR, onRequest },
    async (request, reply) => {
      const id = parseProductId(request.params.product_id);
      if (id === undefined) return sendProblem(reply, 'product-not-found');
      const actor = await inspector.actor(id);
      if (actor !== undefined && actor.name !== null) return actorJson(actor);
      const product = await catalogue.findProduct(id);
      if (product === undefined) return sendProblem(reply, 'product-not-found');
      const idle = idleActorJson(product);
      if (actor === undefined) return idle;
      // It is being loaded: what is of the product is not in memory yet.
      const { name, status, stock } = idle;
      return { ...actorJson(actor), name, status, stock };
    },
  );

  app.get('/admin/shards', { ...SHARDS, onRequest }, async () => ({
    items: (await inspector.shards()).map(shardJson),
  }));

  app.get<{ Querystring: BatchesQuery }>(
    '/admin/batches',
    { ...BATCHES, onRequest },
    async (request) => {
      const { limit = PAGE_LIMIT_DEFAULT } = request.query;
      return { items: inspector.batches(limit).map(batchJson) };
    },
  );

  app.get<{ Querystring: PageQuery }>(
    '/admin/actions',
    { ...ACTIONS, onRequest },
    async (request, reply) => {
      const page = pageRequestOf(request.query);
      if (page === undefined) return sendProblem(reply, 'validation', { errors: [CURSOR_ISSUE] });
      return pageJson(await operatorLog.list(page), operatorActionJson);
    },
  );
}
