import { relative } from 'node:path';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** What takes minutes begins first, so that no core is left alone with it in the end; then what waits for processes. */
const FIRST = [
  'test/sim/sim.',
  'test/chaos/',
  'test/cluster/',
  'test/jobtype/',
  'test/store/',
  'test/sim/',
  'test/data/',
];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification): number => {
      const path = relative(import.meta.dirname, moduleId);
      const at = FIRST.findIndex((prefix) => path.startsWith(prefix));
      return at < 0 ? FIRST.length : at;
    };
    return (await super.sort(files)).toSorted((one, other) => place(one) - place(other));
  }
}

/** Tests that leave nothing behind share what is loaded: to load it takes as long as half of them run. */
const SHARING = ['base', 'cli', 'client', 'daemon', 'golden', 'raft', 'ranges', 'wire'].map(
  (room) => `test/${room}/**/*.test.ts`,
);

export default defineConfig({
  test: {
    globalSetup: ['test/support/build.ts'],
    pool: 'forks',
    // Half of the tests compute and half wait for processes: three files at once keep two cores busy.
    maxWorkers: 3,
    sequence: { sequencer: LongestFirst },
    // Far above what anything takes: a test that hangs is ended, a slow machine fails nothing.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    projects: [
      { extends: true, test: { name: 'sharing', include: SHARING, isolate: false } },
      { extends: true, test: { name: 'alone', include: ['test/**/*.test.ts'], exclude: SHARING } },
    ],
  },
});
