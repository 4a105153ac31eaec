/**
 * Builds dist: each program and each module that others import becomes one file, and what they share a few chunks.
 *
 * A node that starts spends its time on opening and reading hundreds of small modules, most of them of its dependencies,
 * and so does every host of job code; joined, they load in less than half of the CPU. What is joined is one graph with all
 * entries in it, so that a class is the same class wherever it comes from: job code, its host and the library share
 * `Client`. Declarations are the compiler's part (`tsc -p tsconfig.build.json`), and so are the types.
 */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { build } from 'esbuild';
import { builtPath, PACKAGE_DIR } from '../src/base/package.ts';

/** Every module that is started, or imported by somebody outside: a program, a thread, the library. */
const ENTRIES = [
  'bin/polaris.ts',
  'src/index.ts',
  'src/sinks/index.ts',
  'src/jobtype/host.ts',
  'src/jobtype/thread.ts',
  'src/jobtype/master-thread.ts',
  'src/jobtype/describer.ts',
  'src/query/engine.ts',
  'chaos/demo.ts',
  'chaos/hash-range.ts',
  ...jobTypes('jobs'),
  ...jobTypes('chaos/jobs'),
];

/**
 * What stays a package of its own: classes that job code has in its hands too (a RecordBatch of another copy of Arrow is
 * none), native addons, and those that read files of theirs at run time.
 */
const APART = ['apache-arrow', 'nodejs-polars', 'ioredis', 'pg', 'level', 'msgpackr', 'pino', 'yargs'];

/** CommonJS modules among them ask for Node's own modules by `require`. */
const REQUIRE =
  "import { createRequire as createRequireOf } from 'node:module'; const require = createRequireOf(import.meta.url);";

function jobTypes(folder: string): string[] {
  const modules = readdirSync(`${PACKAGE_DIR}/${folder}`).map((name) => `${folder}/${name}/index.ts`);
  return modules.filter((path) => existsSync(`${PACKAGE_DIR}/${path}`));
}

const dist = builtPath('');
rmSync(dist, { recursive: true, force: true });
await build({
  absWorkingDir: PACKAGE_DIR,
  entryPoints: ENTRIES,
  outdir: dist,
  outbase: '.',
  chunkNames: 'chunks/[name]-[hash]',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  sourcemap: true,
  keepNames: true,
  external: APART,
  banner: { js: REQUIRE },
  logLevel: 'warning',
});
