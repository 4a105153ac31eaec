#!/usr/bin/env node
/**
 * The program `polaris`: hands the command line to src/cli and ends with its exit code.
 */
import { processIo } from '../src/cli/io.ts';
import { main } from '../src/cli/main.ts';

const exit = await main(process.argv.slice(2), processIo());
// A node that runs goes on after this line; whatever failed must not be kept alive by a half-open door.
if (exit === 0) process.exitCode = 0;
else process.exit(exit);
