import pg from 'pg';
import { expect, test } from 'vitest';
import { createTestDatabase } from './database.ts';

test('each file has a database of its own, with the schema and without rows', async () => {
  const [first, second] = await Promise.all([createTestDatabase(), createTestDatabase()]);
  await first.query('INSERT INTO commit_batches VALUES (1, 1, false, 0, now())');
  expect(await first.query('SELECT no FROM commit_batches')).toEqual([{ no: 1 }]);
  expect(await second.query('SELECT no FROM commit_batches')).toEqual([]);
  await first.close();
  await second.close();
});

test('a connection that a test leaves open is named and fails it', async () => {
  const database = await createTestDatabase();
  const leaked = new pg.Client({ connectionString: database.url, application_name: 'leaked-pool' });
  await leaked.connect();
  await expect(database.close()).rejects.toThrow('leaked-pool');
  await leaked.end();
});
