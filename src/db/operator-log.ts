/**
 * What operators did to the running engine. A row and its key are durable before the action begins
 * (I3), so that one which was cut off can be seen and begun again.
 */
import { randomUUIDv7 } from 'node:crypto';
import type { Pool } from 'pg';
import type { UserId } from '../domain/ids.ts';
import type {
  OperatorAction,
  OperatorActionKind,
  OperatorLog,
  RecordOutcome,
} from '../domain/operator-action.ts';
import type { EffectKey, PageRequest } from '../domain/ports.ts';
import { pageValues, toMs, toPage } from './page.ts';
import { queryRows } from './pool.ts';
import { changeRows, onceUnderKey } from './transaction.ts';

const RECORD = /* sql */ `
  INSERT INTO operator_actions (id, kind, target, reason, author, created_at)
  VALUES ($1, $2, $3, $4, $5, clock_timestamp())`;

const FIND_OUTCOME = /* sql */ `SELECT outcome FROM operator_actions WHERE id = $1`;

// Of a key that is used twice at once both do the action: that one fails late hides no success.
const SETTLE = /* sql */ `
  UPDATE operator_actions SET outcome = $2
   WHERE id = $1 AND outcome IS DISTINCT FROM 'done'`;

const LIST = /* sql */ `
  SELECT id, kind, target, reason, author, outcome,
         (extract(epoch FROM created_at) * 1000000)::bigint AS "createdAtUs"
    FROM operator_actions
   WHERE (created_at, id) <
         (timestamptz 'epoch' + $1::double precision * interval '1 microsecond', $2::uuid)
   ORDER BY created_at DESC, id DESC
   LIMIT $3`;

interface ActionRow {
  readonly id: string;
  readonly kind: OperatorActionKind;
  readonly target: string;
  readonly reason: string | null;
  readonly author: UserId;
  readonly outcome: string | null;
  readonly createdAtUs: number;
}

/** Errors are AppError `database-unavailable` or, of what changes rows, `outcome-unknown`. */
export function createOperatorLog(pool: Pool): OperatorLog {
  return {
    async record(action, key: EffectKey | null): Promise<RecordOutcome> {
      const { kind, target, reason, author } = action;
      const done = await onceUnderKey<{ readonly id: string }, never>(pool, key, async (client) => {
        const id = randomUUIDv7();
        await client.query(RECORD, [id, kind, target, reason, author]);
        return { effect: { id } };
      });
      if (done.type !== 'done') return { type: 'key-reused' };
      const { id } = done.result;
      const outcome = done.replayed ? await outcomeOf(pool, id) : null;
      return { type: 'recorded', id, replayed: done.replayed, outcome };
    },

    async settle(id, outcome) {
      await changeRows(pool, { text: SETTLE, values: [id, outcome] });
    },

    async list(page: PageRequest) {
      const rows = await queryRows<ActionRow>(pool, { text: LIST, values: [...pageValues(page)] });
      return toPage(rows, page.limit, toAction);
    },
  };
}

async function outcomeOf(pool: Pool, id: string): Promise<string | null> {
  const values = [id];
  const rows = await queryRows<{ outcome: string | null }>(pool, { text: FIND_OUTCOME, values });
  return rows[0]?.outcome ?? null;
}

function toAction({ createdAtUs, ...row }: ActionRow): OperatorAction {
  return { ...row, createdAt: toMs(createdAtUs) };
}
