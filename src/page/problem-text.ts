/** What a refusal says to an operator: the sentences of the API are written for customers. */
import type { ProblemJson } from './admin-api.ts';

const OPERATOR_TEXTS: ReadonlyMap<string, string> = new Map([
  ['order-not-found', 'There is no such order.'],
  ['product-not-found', 'There is no such product.'],
  ['overloaded', 'The server has too much to do right now. Try again in a moment.'],
]);

/** Of a problem document, or what else can be said of an answer that is none: a proxy's page. */
export function problemText(status: number, problem: Partial<ProblemJson> | null): string {
  const { code = '', detail } = problem ?? {};
  return OPERATOR_TEXTS.get(code) ?? detail ?? `The server answered ${status}.`;
}
