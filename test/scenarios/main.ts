/**
 * `npm run scenario -- FILE` runs a scenario and prints its transcript, whatever the file expects.
 */
import { readFileSync } from 'node:fs';
import { runScenario } from './run.ts';

const USAGE = 'usage: npm run scenario -- FILE\n';

function main(): number {
  const [path, ...rest] = process.argv.slice(2);
  if (path === undefined || rest.length > 0) {
    process.stderr.write(USAGE);
    return 2;
  }
  try {
    process.stdout.write(runScenario(readFileSync(path, 'utf8')));
    return 0;
  } catch (error) {
    process.stderr.write(`${path}: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  }
}

process.exitCode = main();
