/** What waits in PostgreSQL to be done in the background. */
export interface Backlog {
  /** Committed batches of which webhooks are not told yet. */
  readonly outboxBatches: number;
  /** Age of the oldest of them, milliseconds; null without one. */
  readonly outboxAgeMs: number | null;
  /** Jobs that are due and that nobody works on. */
  readonly jobsDue: { readonly payments: number; readonly webhooks: number };
}

/** Each number is counted up to this. */
export const BACKLOG_COUNT_MAX = 10_000;

export interface BacklogReader {
  /** @throws AppError `database-unavailable` */
  readBacklog(): Promise<Backlog>;
}
