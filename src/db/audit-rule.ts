/**
 * What a rule of the audit is. A rule's SQL returns one row per violation and nothing when the rule
 * holds; the columns of the row are what is printed, so they are ids first, then the figures that
 * disagree. It shares no code with the engine: what must be true is said a second time, from the
 * rows of orders and order_items, with the ledger as a second witness.
 */
export interface AuditRule {
  /** Kebab-case; printed with every violation, and what an operator searches the manual for. */
  readonly name: string;
  /** The invariants of ARCHITECTURE.md that the rule witnesses. */
  readonly invariants: readonly Invariant[];
  /** What holds, as a sentence. */
  readonly holds: string;
  /** A SELECT without a trailing semicolon. */
  readonly sql: string;
}

export type Invariant = 'I1' | 'I2' | 'I3' | 'I4' | 'I5' | 'I6' | 'I7' | 'I8' | 'I9' | 'I10';
