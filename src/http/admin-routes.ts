/** All that is for operators: what they see, and what they do. */
import type { FastifyInstance } from 'fastify';

import type { AdminEventsDeps } from './admin-events-route.ts';
import { addAdminEventsRoute } from './admin-events-route.ts';
import type { AdminOrderDeps } from './admin-order-route.ts';
import { addAdminOrderRoute } from './admin-order-route.ts';
import type { AdminProductDeps } from './admin-product-routes.ts';
import { addAdminProductRoutes } from './admin-product-routes.ts';
import type { AdminReadDeps } from './admin-read-routes.ts';
import { addAdminReadRoutes } from './admin-read-routes.ts';
import { actorSchema, batchSchema, operatorActionSchema, shardSchema } from './admin-schemas.ts';
import type { AdminShardDeps } from './admin-shard-route.ts';
import { addAdminShardRoute } from './admin-shard-route.ts';
import { jsonSchemaOf } from './json-schema.ts';
import { createValidatorCompiler } from './validator-compiler.ts';

/** What the routes need. */
export type AdminDeps = AdminEventsDeps &
  AdminOrderDeps &
  AdminProductDeps &
  AdminReadDeps &
  AdminShardDeps;

const SCHEMAS = {
  Actor: actorSchema,
  Shard: shardSchema,
  Batch: batchSchema,
  OperatorAction: operatorActionSchema,
};

/**
 * Adds the routes under /admin that answer JSON or events. In a scope of their own: the serializer of
 * a route is compiled with all schemas that it could refer to.
 */
export async function addAdminRoutes(app: FastifyInstance, deps: AdminDeps): Promise<void> {
  await app.register(async (scope) => {
    for (const [name, schema] of Object.entries(SCHEMAS)) {
      scope.addSchema({ $id: name, ...jsonSchemaOf(schema) });
    }
    // One with schemas of its own would be given Fastify's validator.
    scope.setValidatorCompiler(createValidatorCompiler());
    addAdminReadRoutes(scope, deps);
    addAdminEventsRoute(scope, deps);
    addAdminProductRoutes(scope, deps);
    addAdminShardRoute(scope, deps);
    addAdminOrderRoute(scope, deps);
  });
}
