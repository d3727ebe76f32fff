/**
 * How an operator's action is done: recorded, done, settled, answered, in this order. So there is a
 * row of whatever was begun, and who reads the answer finds how it ended.
 *
 * A key is bound when its action is recorded. A repeat of one that was done is answered from how
 * things are now; one that was refused, failed or was cut off is done again: each must be fit for that.
 */
import type { FastifyReply } from 'fastify';
import type { Logger } from 'pino';

import { AppError } from '../domain/errors.ts';
import type { ErrorCode } from '../domain/errors.ts';
import type { OperatorActionKind, OperatorLog } from '../domain/operator-action.ts';
import { identityOf } from './authenticate.ts';
import { idempotencyKeyOf } from './idempotency-key.ts';
import { sendProblem } from './problem.ts';

/** Where actions are recorded. */
export interface ActionRecords {
  readonly operatorLog: OperatorLog;
  readonly logger: Pick<Logger, 'info' | 'warn'>;
}

type Answer = FastifyReply | Promise<FastifyReply>;

/** How an action ended, and its answer. */
export interface ActionEnd {
  /** `done`, or the code of the problem that is answered. */
  readonly outcome: ErrorCode | 'done';
  readonly send: () => Answer;
}

/** An end without an effect, or one that is not known. */
export function failed(reply: FastifyReply, outcome: ErrorCode): ActionEnd {
  return { outcome, send: () => sendProblem(reply, outcome) };
}

/** What is to be done. */
export interface AdminAction {
  readonly kind: OperatorActionKind;
  /** It exists. */
  readonly target: string;
  readonly reason: string;
  /** @param earlier - How an earlier try under the same key ended, or null. */
  readonly perform: (earlier: string | null) => Promise<ActionEnd>;
  /** Answers a repeat. */
  readonly sendPresent: () => Answer;
}

/**
 * Does the action, unless it was done under the request's key before, and answers.
 *
 * @throws AppError when it could not be recorded, and whatever `perform` throws.
 */
export async function performAction(
  { operatorLog, logger }: ActionRecords,
  action: AdminAction,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { request } = reply;
  const { kind, target, reason } = action;
  const { userId: author } = identityOf(request);
  const key = idempotencyKeyOf(request.raw.headers);
  const bound = { userId: author, key: key ?? '', request: JSON.stringify([kind, target, reason]) };
  const recorded = await operatorLog.record(
    { kind, target, reason, author },
    key === null ? null : bound,
  );
  if (recorded.type === 'key-reused') return sendProblem(reply, 'idempotency-key-reused');
  if (recorded.outcome === 'done') {
    reply.header('idempotency-replayed', 'true');
    return action.sendPresent();
  }
  const facts = { request_id: request.id, action_id: recorded.id, kind, target, author };
  logger.info({ ...facts, reason }, 'an operator acts');
  const settle = (outcome: ActionEnd['outcome']): Promise<void> =>
    // What was done is done: a row that is not settled says less than it could, and nothing wrong.
    operatorLog.settle(recorded.id, outcome).catch((err: unknown) => {
      logger.warn({ err, ...facts, outcome }, 'an action of an operator was not settled');
    });
  let end: ActionEnd;
  try {
    end = await action.perform(recorded.outcome);
  } catch (error) {
    await settle(error instanceof AppError ? error.code : 'internal');
    throw error;
  }
  await settle(end.outcome);
  return end.send();
}
