import type { Command } from '../domain/wire.ts';

/** The router that sent a command, and that its answer goes back to. */
export type RouterIndex = number;

/** A command that has arrived and has no answer yet. */
export interface Waiting {
  readonly command: Command;
  readonly from: RouterIndex;
  /** Decided or shed: a mailbox that still holds it skips it. */
  done: boolean;
  /** Counts against the bound on undecided commands (I9). */
  holdsPlace: boolean;
}
