/** Where in the page one is: the part of the address behind `#`. */
import { ACTOR_SORTS } from './admin-api.ts';
import type { ActorSort } from './admin-api.ts';

export type PageRoute =
  | { readonly view: 'actors'; readonly sort: ActorSort }
  | { readonly view: 'actor'; readonly productId: string }
  | { readonly view: 'shards' }
  | { readonly view: 'batches' }
  | { readonly view: 'actions' };

const UUID = /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/i;

/** The id in what somebody typed or pasted; undefined when there is none. */
export function uuidOf(text: string): string | undefined {
  const trimmed = text.trim();
  return UUID.test(trimmed) ? trimmed.toLowerCase() : undefined;
}

/** What leads nowhere leads to the actors. */
export function parseRoute(hash: string): PageRoute {
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split('?');
  const [view, id = ''] = path.split('/');
  const productId = uuidOf(id);
  if (view === 'actors' && productId !== undefined) return { view: 'actor', productId };
  if (view === 'shards' || view === 'batches' || view === 'actions') return { view };
  const asked = new URLSearchParams(query).get('sort');
  return { view: 'actors', sort: ACTOR_SORTS.find((sort) => sort === asked) ?? 'rate' };
}

export function hashOf(route: PageRoute): string {
  if (route.view === 'actor') return `#/actors/${route.productId}`;
  if (route.view === 'actors') return `#/actors?sort=${route.sort}`;
  return `#/${route.view}`;
}
