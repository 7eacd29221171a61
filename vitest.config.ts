import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['packages/*/test/**/*.test.ts', 'test/**/*.test.ts'],
    globalSetup: ['test/support/global-postgres.ts'],
    pool: 'forks',
    // Tests start servers, workers and ssh of their own: more at a time make each other slow, not the whole faster.
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 30_000,
    // The second that is the default is short on a machine with other work.
    expect: { poll: { timeout: 15_000 } },
  },
});
