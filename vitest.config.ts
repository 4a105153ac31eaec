import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/build.ts'],
    pool: 'forks',
    // Half of the tests compute and half wait for processes: three files at once keep two cores busy.
    maxWorkers: 3,
    // Far above what anything takes: a test that hangs is ended, a slow machine fails nothing.
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
