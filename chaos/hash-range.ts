/**
 * The program of the demo: hashes the files on lines [start, end) of a manifest, one line of output a file.
 *
 *   node hash-range.js MANIFEST OUTPUT START END EPOCH PAUSE_MS
 *
 * Each line is one O_APPEND write, made before its point is acknowledged on file descriptor 3: a crash between the two
 * repeats a line, and never loses one.
 */
import { createHash } from 'node:crypto';
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';

const [manifest = '', output = '', start = '0', end = '0', epoch = '0', pauseMs = '0'] = process.argv.slice(2);
const files = readFileSync(manifest, 'utf8').split('\n');
const sink = openSync(output, 'a');
const pause = new Int32Array(new SharedArrayBuffer(4));

for (let point = Number(start); point < Number(end); point++) {
  const path = files[point] ?? '';
  const digest = createHash('sha256').update(readFileSync(path)).digest('hex');
  writeSync(sink, `${point}\t${epoch}\t${digest}\t${path}\n`);
  writeSync(3, `${point + 1}\n`);
  Atomics.wait(pause, 0, 0, Number(pauseMs));
}
closeSync(sink);
