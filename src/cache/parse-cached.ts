/** What we once cached as JSON; undefined where nothing is, or somebody else wrote under our keys. */
export function parseCached<T>(text: string | undefined): T | undefined {
  if (text === undefined) return undefined;
  try {
    return (JSON.parse(text) as T | null) ?? undefined;
  } catch {
    return undefined;
  }
}
