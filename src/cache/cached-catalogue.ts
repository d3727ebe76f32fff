/**
 * Lists of products from a cache, never older than a second; single products always from
 * PostgreSQL.
 *
 * What a list shows depends on its filter and page alone, and the edge makes the filter of what the
 * asker may see, so the key is filter and page: nobody is answered with the list of another filter.
 * Requests for one list at one time share one look-up, and so one query.
 *
 * I9: as many look-ups are under way as requests; the database bounds their queries.
 */
import type { Cache } from '../domain/cache.ts';
import type { Catalogue, Page, PageRequest, ProductFilter } from '../domain/ports.ts';
import type { Product } from '../domain/product.ts';
import { parseCached } from './parse-cached.ts';

/** Milliseconds from the moment the database was asked. */
const LIST_AGE_MS_MAX = 1_000;

/** Changes with the form of `Cached`: two versions of the program may share one cache. */
const KEY_PREFIX = 'products:1:';

type ProductPage = Page<Product>;

interface Cached {
  /** Milliseconds since the epoch, when the database was asked. */
  readonly askedAt: number;
  readonly page: ProductPage;
}

interface LookUp {
  readonly startedAt: number;
  readonly page: Promise<ProductPage>;
}

/** What the cached lists need. */
export interface CachedCatalogueDeps {
  readonly catalogue: Catalogue;
  readonly cache: Cache;
  /** The cache was asked; `hit`: it had what may be shown. */
  readonly onLookUp?: (hit: boolean) => void;
  /** Wall clock, milliseconds since the epoch; `Date.now` unless a test says otherwise. */
  readonly clock?: () => number;
}

export class CachedCatalogue implements Catalogue {
  readonly #catalogue: Catalogue;
  readonly #cache: Cache;
  readonly #onLookUp: (hit: boolean) => void;
  readonly #clock: () => number;
  readonly #lookUps = new Map<string, LookUp>();

  constructor({ catalogue, cache, onLookUp, clock = Date.now }: CachedCatalogueDeps) {
    this.#catalogue = catalogue;
    this.#cache = cache;
    this.#onLookUp = onLookUp ?? (() => undefined);
    this.#clock = clock;
  }

  findProduct(id: Product['id']): Promise<Product | undefined> {
    return this.#catalogue.findProduct(id);
  }

  listProducts(filter: ProductFilter, page: PageRequest): Promise<ProductPage> {
    const key = keyOf(filter, page);
    const startedAt = this.#clock();
    const others = this.#lookUps.get(key);
    // A slow look-up may show what is older than a second by now.
    if (others !== undefined && this.#isFresh(others.startedAt)) return others.page;
    const lookUp = { startedAt, page: this.#lookUp(key, { filter, page }) };
    this.#lookUps.set(key, lookUp);
    const forget = (): void => {
      if (this.#lookUps.get(key) === lookUp) this.#lookUps.delete(key);
    };
    lookUp.page.then(forget, forget);
    return lookUp.page;
  }

  async #lookUp(
    key: string,
    list: { readonly filter: ProductFilter; readonly page: PageRequest },
  ): Promise<ProductPage> {
    const text = await this.#cache.get(key);
    const cached = parseCached<Cached>(text);
    const fresh = cached !== undefined && this.#isFresh(cached.askedAt) ? cached.page : undefined;
    this.#onLookUp(fresh !== undefined);
    if (fresh !== undefined) return fresh;
    const askedAt = this.#clock();
    const page = await this.#catalogue.listProducts(list.filter, list.page);
    const ttlMs = askedAt + LIST_AGE_MS_MAX - this.#clock();
    if (ttlMs > 0) await this.#cache.set(key, format({ askedAt, page }), ttlMs);
    return page;
  }

  /**
   * The cache forgets in time by itself, but what was on its way to it for a while it forgets
   * later. A time to come was written by a machine whose clock is ahead: its age is not known.
   */
  #isFresh(askedAt: number): boolean {
    const age = this.#clock() - askedAt;
    return age >= 0 && age < LIST_AGE_MS_MAX;
  }
}

/** JSON, so that no text of a customer can end one part and begin another. */
function keyOf(filter: ProductFilter, { limit, after }: PageRequest): string {
  const { q, merchantId, status } = filter;
  const position = after === null ? [] : [after.createdAtUs, after.id];
  return KEY_PREFIX + JSON.stringify([status, merchantId, q, limit, ...position]);
}

/** A page is plain data, which JSON gives back as it was. */
function format(cached: Cached): string {
  return JSON.stringify(cached);
}
