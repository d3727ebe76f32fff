/**
 * How columns become values, per connection: the global parsers of pg stay as they are, because a
 * process-wide setting would change what every other user of pg in the process reads.
 *
 * Times are not parsed here: every query turns them into milliseconds (or, for a cursor,
 * microseconds) in SQL, where the time zone of the session cannot matter.
 */
import { types } from 'pg';
import type { CustomTypesConfig } from 'pg';

/** bigint columns are numbers in code; the schema's bounds keep them below 2^53, and this proves it. */
function parseBigint(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) {
    throw new RangeError(`a bigint column holds ${text}, which a number cannot represent`);
  }
  return value;
}

/** For the `types` option of every client and pool of this program. */
export const COLUMN_TYPES: CustomTypesConfig = {
  getTypeParser: (oid: number, format?: 'text' | 'binary') =>
    oid === types.builtins.INT8 && format !== 'binary'
      ? parseBigint
      : types.getTypeParser(oid, format),
};
