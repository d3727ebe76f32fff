import type { FastifyReply } from 'fastify';

import { parseProductId } from '../domain/ids.ts';
import type { Catalogue } from '../domain/ports.ts';
import type { Product } from '../domain/product.ts';
import { identityOf } from './authenticate.ts';
import { sendProblem } from './problem.ts';
import { mayManage, maySee } from './product-access.ts';

/**
 * The committed product, if who asks may change it. Otherwise undefined, and the problem was sent:
 * 404 for what may not even be seen, else 403.
 *
 * @param idText - As the path has it.
 */
export async function managedProduct(
  catalogue: Catalogue,
  idText: string,
  reply: FastifyReply,
): Promise<Product | undefined> {
  const identity = identityOf(reply.request);
  if (identity.role === 'customer') {
    sendProblem(reply, 'forbidden');
    return undefined;
  }
  const id = parseProductId(idText);
  const product = id === undefined ? undefined : await catalogue.findProduct(id);
  if (product === undefined || !maySee(identity, product)) {
    sendProblem(reply, 'product-not-found');
    return undefined;
  }
  if (mayManage(identity, product)) return product;
  sendProblem(reply, 'forbidden');
  return undefined;
}
