/**
 * Does something to the first row that a batch inserts, by a trigger of the test's own database.
 * Counts with a sequence, which no rollback takes back.
 */
import type { TestDatabase } from '../support/database.ts';

export class BatchTrap {
  readonly #database: TestDatabase;

  private constructor(database: TestDatabase) {
    this.#database = database;
  }

  static async build(database: TestDatabase): Promise<BatchTrap> {
    await database.query('CREATE SEQUENCE trap_hits');
    return new BatchTrap(database);
  }

  /** `action`: PL/pgSQL statements, run for the table's next row and for no other. */
  async arm(table: 'orders' | 'commit_batches', action: string): Promise<void> {
    await this.#database.query(/* sql */ `
      ALTER SEQUENCE trap_hits RESTART;
      CREATE OR REPLACE FUNCTION trap() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        IF nextval('trap_hits') = 1 THEN ${action} END IF;
        RETURN NEW;
      END $$;
      CREATE TRIGGER trap BEFORE INSERT ON ${table} FOR EACH ROW EXECUTE FUNCTION trap()`);
  }

  /** Rows that ran into it, also those that were rolled back. */
  async hits(): Promise<number> {
    const [row] = await this.#database.query<{ hits: number }>(
      'SELECT CASE WHEN is_called THEN last_value ELSE 0 END::integer AS hits FROM trap_hits',
    );
    return row?.hits ?? 0;
  }

  async disarm(): Promise<void> {
    await this.#database.query('DROP FUNCTION IF EXISTS trap CASCADE');
  }
}
