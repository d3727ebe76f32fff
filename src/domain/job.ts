/**
 * Work that leaves the order path. A row in PostgreSQL is the job: it is leased, done, and then
 * marked as done, so that losing the process loses nothing and may at most repeat it.
 */
export interface JobSource<J> {
  /** Takes up to `max` jobs that are due, for as long as their lease lasts; the longest due first. */
  lease(max: number): Promise<readonly J[]>;
  /** Makes what a process that is gone had leased due again. Once, before the first lease. */
  reclaim(): Promise<void>;
}
