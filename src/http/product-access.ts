import type { Product } from '../domain/product.ts';
import type { Identity } from '../domain/user.ts';

/** Whether the asker may change the product: its merchant and admins. */
export function mayManage(identity: Identity | null, product: Product): boolean {
  if (identity === null) return false;
  if (identity.role === 'admin') return true;
  return identity.role === 'merchant' && identity.userId === product.merchantId;
}

/** Whether the asker may know of the product: everybody of an active one. */
export function maySee(identity: Identity | null, product: Product): boolean {
  return product.status === 'active' || mayManage(identity, product);
}
