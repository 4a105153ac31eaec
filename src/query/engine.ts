/**
 * Engine: main of the child process in which one query runs.
 *
 * Native code that reads what strangers wrote, and takes what memory it likes, has no place in a node: here its crash costs
 * one query. The main thread only waits, so the channel is heard while the engine computes, and its end is the end of the
 * process: a node that dies takes its queries with it.
 *
 * Invariants: one query a process · no file of the node is within reach of the engine but those of the order · nothing is
 * reported before the result is whole.
 */
import { setPriority } from 'node:os';
import { errorText, PolarisError } from '../base/errors.ts';
import { HOST_NICE } from '../base/limits.ts';
import { closeInheritedFiles } from '../jobtype/inherited.ts';
import { loadPolars, refusalText, runInto, understand } from './polars.ts';
import type { EngineOrder, EngineReport } from './protocol.ts';

async function run({ sql, tables, resultPath }: EngineOrder): Promise<EngineReport> {
  const columns: string[] = [];
  try {
    const polars = await loadPolars();
    const frames = Object.fromEntries(tables.map(({ name, path }) => [name, polars.scanIPC(path)]));
    for (const [name, frame] of Object.entries(frames)) {
      columns.push(...frame.columns.map((column) => (tables.length === 1 ? column : `${name}.${column}`)));
    }
    await runInto(polars, understand(polars, sql, frames), resultPath);
    return { type: 'done' };
  } catch (thrown) {
    if (thrown instanceof PolarisError) return { type: 'absent', text: thrown.detail };
    return { type: 'refused', text: refusalText(errorText(thrown), columns) };
  }
}

function main(): void {
  closeInheritedFiles();
  try {
    setPriority(HOST_NICE);
  } catch {
    // Where the system does not let it, the query runs as the node does.
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
  // An orderly exit would wait for the engine's threads, and those for the end of the query.
  process.once('disconnect', () => process.kill(process.pid, 'SIGKILL'));
  process.once('message', (order: EngineOrder) => {
    run(order).then((report) => process.send?.(report));
  });
}

main();
