import { defineConfig } from 'vitest/config';

/** Of every tier: whatever hangs is a failure, not a wait. */
const TEST_TIMEOUT_MS = 20_000;
const HOOK_TIMEOUT_MS = 60_000;

/** The suffix of a file is its tier; `.test.ts` alone is the pure one. */
const TIERS = ['thread', 'pg', 'ext'] as const;

function tier(name: (typeof TIERS)[number]) {
  return {
    extends: true as const,
    test: {
      name,
      include: [`test/**/*.${name}.test.ts`],
      globalSetup: ['test/support/global-setup.ts'],
      setupFiles: ['test/support/left-servers.ts'],
    },
  };
}

export default defineConfig({
  test: {
    // A process per file: a leaked thread, pool or handler cannot reach the next file.
    pool: 'forks',
    // The tests that matter start processes and wait for them; more files at once only add noise.
    maxWorkers: 3,
    testTimeout: TEST_TIMEOUT_MS,
    hookTimeout: HOOK_TIMEOUT_MS,
    teardownTimeout: HOOK_TIMEOUT_MS,
    allowOnly: false,
    passWithNoTests: false,
    dangerouslyIgnoreUnhandledErrors: false,
    projects: [
      {
        extends: true,
        test: {
          name: 'pure',
          // They start nothing that could leak, and loading everything for each file took half their time.
          isolate: false,
          include: ['test/**/*.test.ts'],
          exclude: TIERS.map((suffix) => `test/**/*.${suffix}.test.ts`),
        },
      },
      ...TIERS.map(tier),
    ],
  },
});
