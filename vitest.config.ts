import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/build.ts'],
    pool: 'forks',
    // Far above what anything takes: a test that hangs is ended, a slow machine fails nothing.
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
