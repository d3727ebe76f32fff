/** What went wrong, for an operator at a terminal: the message and those of its causes. */
export function explain(error: unknown): string {
  const messages: string[] = [];
  for (let cause = error; cause instanceof Error && messages.length < 5; cause = cause.cause) {
    // A refused connection to a name with several addresses has no message of its own.
    const parts = cause instanceof AggregateError ? cause.errors : [cause];
    messages.push(
      parts.map((part) => (part instanceof Error ? part.message : String(part))).join(', '),
    );
  }
  return messages.length > 0 ? messages.join(': ') : String(error);
}
