import type { OrderId, OwnerId, UserId } from '../domain/ids.ts';
import type { RequestedLine } from '../domain/order.ts';
import type { Command } from '../domain/wire.ts';

/** The router that sent a command, and that its answer goes back to. */
export type RouterIndex = number;

/** Another shard's wish to hold lines here, for an order that it will commit. */
export interface HoldCommand {
  readonly kind: 'hold';
  readonly home: OwnerId;
  /** With `home` it names the hold. */
  readonly attempt: number;
  readonly orderId: OrderId;
  readonly userId: UserId;
  /** False: the order is refused already, and only the whole reason is asked for. */
  readonly take: boolean;
  readonly receivedAt: number;
  readonly lines: readonly RequestedLine[];
}

/** A command that has arrived and has no answer yet. */
export interface Waiting<C = Command | HoldCommand> {
  readonly command: C;
  readonly from: RouterIndex;
  /** The command's lines of this shard: it stands in the mailboxes of their products. */
  readonly lines: readonly RequestedLine[];
  /** Decided or shed: a mailbox that still holds it skips it. */
  done: boolean;
  /** Counts against the bound on undecided commands (I9). */
  holdsPlace: boolean;
}

/** One with a router at the other end. */
export type WaitingRequest = Waiting<Command>;

export function isHold(waiting: Waiting): waiting is Waiting<HoldCommand> {
  return waiting.command.kind === 'hold';
}

export function isKind<K extends Command['kind']>(
  waiting: Waiting,
  kind: K,
): waiting is Waiting<Command & { readonly kind: K }> {
  return waiting.command.kind === kind;
}
