import type {
  Cart,
  CartOutcome,
  CartRefusal,
  Carts,
  CreateCart,
  AddItem,
  CartOfCustomer,
  RemoveItem,
  SetQuantity,
} from '../../src/domain/cart.ts';
import { parseCartId } from '../../src/domain/ids.ts';
import type { CartId, OrderId, ProductId, UserId } from '../../src/domain/ids.ts';
import type { Page, PageRequest } from '../../src/domain/ports.ts';
import type { Product } from '../../src/domain/product.ts';

export function cartId(n: number): CartId {
  const id = parseCartId(`00000000-0000-7000-8004-${String(n).padStart(12, '0')}`);
  if (id === undefined) throw new Error('not an id');
  return id;
}

/** Answers what it is told to, and remembers what it was asked. */
export class FakeCarts implements Carts {
  /** What is committed. */
  readonly rows: Cart[] = [];
  /** What a cache has in their place. */
  readonly copies: Cart[] = [];
  readonly products: readonly Product[];
  readonly changes: (CreateCart | AddItem | SetQuantity | RemoveItem | CartOfCustomer)[] = [];
  readonly pages: { readonly userId: UserId; readonly page: PageRequest }[] = [];
  readonly ordered: { readonly cart: Cart; readonly orderId: OrderId }[] = [];
  outcome: CartOutcome = { type: 'refused', refusal: { code: 'cart-not-found' } };
  deleteRefusal: CartRefusal | null = null;
  page: Page<Cart> = { items: [], next: null };
  /** Before the products of a cart are read. */
  gate: () => Promise<void> = async () => {};

  constructor(products: readonly Product[]) {
    this.products = products;
  }

  createCart(request: CreateCart): Promise<CartOutcome> {
    return this.#change(request);
  }

  addItem(request: AddItem): Promise<CartOutcome> {
    return this.#change(request);
  }

  setQuantity(request: SetQuantity): Promise<CartOutcome> {
    return this.#change(request);
  }

  removeItem(request: RemoveItem): Promise<CartOutcome> {
    return this.#change(request);
  }

  async deleteCart(cart: CartOfCustomer): Promise<CartRefusal | null> {
    this.changes.push(cart);
    return this.deleteRefusal;
  }

  async findCart(id: CartId): Promise<Cart | undefined> {
    return this.copies.find((cart) => cart.id === id) ?? this.readCart(id);
  }

  async readCart(id: CartId): Promise<Cart | undefined> {
    return this.rows.find((cart) => cart.id === id);
  }

  async noteOrdered(cart: Cart, orderId: OrderId): Promise<void> {
    this.ordered.push({ cart, orderId });
  }

  async listCarts(userId: UserId, page: PageRequest): Promise<Page<Cart>> {
    this.pages.push({ userId, page });
    return this.page;
  }

  async findProducts(ids: readonly ProductId[]): Promise<readonly Product[]> {
    await this.gate();
    return this.products.filter(({ id }) => ids.includes(id));
  }

  async #change(request: CreateCart | AddItem | SetQuantity | RemoveItem): Promise<CartOutcome> {
    this.changes.push(request);
    return this.outcome;
  }
}
