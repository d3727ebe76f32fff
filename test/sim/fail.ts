/** @throws Error always */
export function fail(invariant: string, what: string): never {
  throw new Error(`${invariant}: ${what}`);
}
