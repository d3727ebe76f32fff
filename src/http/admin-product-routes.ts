/** An operator takes a product off sale for a while, whoever's it is, and puts it back. */
import type { FastifyInstance, FastifyReply } from 'fastify';

import { unreachable } from '../domain/errors.ts';
import type { ErrorCode } from '../domain/errors.ts';
import type { Catalogue, EditProduct, OrderGateway } from '../domain/ports.ts';
import type { ProductStatus } from '../domain/product.ts';
import { failed, performAction } from './admin-action.ts';
import type { ActionEnd, ActionRecords } from './admin-action.ts';
import { ACTION_BYTES_MAX, actionBody } from './admin-schemas.ts';
import type { ActionBody } from './admin-schemas.ts';
import { identityOf } from './authenticate.ts';
import type { AuthenticateHook } from './authenticate.ts';
import { editedProduct } from './edited-product.ts';
import { schemaRef } from './json-schema.ts';
import { managedProduct } from './managed-product.ts';
import { sendProduct } from './product-json.ts';
import { documented } from './route-doc.ts';
import { idParams, keyHeaders } from './shared-schemas.ts';
import type { IdParams } from './shared-schemas.ts';
import { traceparentOf } from './trace-context.ts';

/** What the routes need. */
export interface AdminProductDeps extends ActionRecords {
  readonly gateway: OrderGateway;
  readonly catalogue: Catalogue;
  /** Lets admins through. */
  readonly authenticate: AuthenticateHook;
}

interface Switch {
  readonly operationId: string;
  readonly summary: string;
  readonly from: ProductStatus;
  readonly to: ProductStatus;
  /** Of a product that is neither. */
  readonly code: ErrorCode;
}

const SWITCHES = {
  pause: {
    operationId: 'pauseProduct',
    summary: 'Take a product off sale; it can be resumed',
    from: 'active',
    to: 'paused',
    code: 'product-not-pausable',
  },
  resume: {
    operationId: 'resumeProduct',
    summary: 'Put a paused product on sale again',
    from: 'paused',
    to: 'active',
    code: 'product-not-paused',
  },
} as const satisfies Record<string, Switch>;

/** Times that the status is changed of a product that somebody else edits meanwhile. */
const TRIES_MAX = 3;

function optionsOf({ operationId, summary, to, code }: Switch): ReturnType<typeof documented> {
  return documented({
    operationId,
    summary,
    tag: 'admin',
    auth: 'required',
    rare: true,
    params: idParams,
    headers: keyHeaders,
    body: { schema: actionBody, bytesMax: ACTION_BYTES_MAX },
    success: {
      status: 200,
      description: `The product; also when it was ${to} before.`,
      schema: schemaRef('Product'),
      headers: {
        ETag: 'Weak: version and stock.',
        'Idempotency-Replayed':
          '`true` when an earlier request did it; the product is as it is now.',
      },
    },
    errors: [
      'forbidden',
      'product-not-found',
      code,
      'idempotency-key-reused',
      'overloaded',
      'database-unavailable',
      'outcome-unknown',
    ],
  });
}

const OPTIONS = { pause: optionsOf(SWITCHES.pause), resume: optionsOf(SWITCHES.resume) };

/** Adds POST /admin/products/{id}/pause and /resume. */
export function addAdminProductRoutes(app: FastifyInstance, deps: AdminProductDeps): void {
  for (const kind of ['pause', 'resume'] as const) {
    app.post<{ Params: IdParams; Body: ActionBody }>(
      `/admin/products/:id/${kind}`,
      { ...OPTIONS[kind], onRequest: deps.authenticate },
      async (request, reply) => {
        const { catalogue } = deps;
        const product = await managedProduct(catalogue, request.params.id, reply);
        if (product === undefined) return reply;
        const { reason } = request.body;
        const edit = {
          author: identityOf(request).userId,
          productId: product.id,
          reason,
          traceparent: traceparentOf(request),
        };
        const action = {
          kind,
          target: product.id,
          reason,
          perform: () => switchStatus(deps, { ...SWITCHES[kind], edit }, reply),
          sendPresent: async () => sendProduct(reply, await editedProduct(catalogue, product.id)),
        };
        return performAction(deps, action, reply);
      },
    );
  }
}

interface Wish extends Pick<Switch, 'from' | 'to' | 'code'> {
  readonly edit: Omit<EditProduct, 'ifVersion' | 'changes'>;
}

/** For the version that was looked at: nothing that its merchant archived meanwhile comes back. */
async function switchStatus(
  { gateway, catalogue }: AdminProductDeps,
  { from, to, code, edit }: Wish,
  reply: FastifyReply,
): Promise<ActionEnd> {
  for (let tries = 0; tries < TRIES_MAX; tries += 1) {
    const product = await catalogue.findProduct(edit.productId);
    if (product === undefined) return failed(reply, 'product-not-found');
    if (product.status === to) return { outcome: 'done', send: () => sendProduct(reply, product) };
    if (product.status !== from) return failed(reply, code);
    const ifVersion = product.version;
    const outcome = await gateway.editProduct({ ...edit, ifVersion, changes: { status: to } });
    switch (outcome.type) {
      case 'edited':
        return {
          outcome: 'done',
          send: async () => sendProduct(reply, await editedProduct(catalogue, product.id)),
        };
      case 'version-differs':
        break;
      case 'refused':
      case 'shed':
        return failed(reply, outcome.code);
      case 'unknown':
        return failed(reply, 'outcome-unknown');
      default:
        return unreachable(outcome);
    }
  }
  return failed(reply, 'overloaded');
}
