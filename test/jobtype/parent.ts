/**
 * A small node: runs one task in a job host, says on stdout what happens, and can be killed or stopped as a whole.
 * Started compiled by nobody: node --import tsx parent.ts DATA_DIR TASK_JSON
 */
import { writeSync } from 'node:fs';
import { join } from 'node:path';
import { Level } from 'level';
import { must } from '../../src/base/assert.ts';
import { SILENT } from '../../src/base/log.ts';
import { monotonicMs } from '../../src/jobtype/deadline.ts';
import { createExecutor } from '../../src/jobtype/executor.ts';
import { HOST_ENTRY, loadTestTypes } from './paths.ts';

const dataDir = must(process.argv[2], 'a data directory is given');
const { deadlineMs, order } = JSON.parse(must(process.argv[3], 'a task is given'));
const say = (said: object) => writeSync(1, `${JSON.stringify(said)}\n`);
const log = { ...SILENT, info: (fields: object, event: string) => say({ event, ...fields }) };

// Open while jobs run, as the log of a node is.
await new Level(join(dataDir, 'log')).open();
const executor = createExecutor({
  types: await loadTestTypes(),
  slots: 1,
  dataDir,
  log,
  hostEntry: HOST_ENTRY,
  nodeId: 'n1',
});
executor.start({
  progress: (epoch, cursor) => {
    say({ event: 'progress', epoch, cursor });
    executor.committed(epoch, cursor, order.end);
  },
  checkpoint: () => {},
  ended: (ending) => say({ event: 'ended', ending }),
});
executor.run(order);
// Moved on for ever, as a node with a living session does: only its death or its stop lets it pass.
if (deadlineMs !== null) {
  const moveOn = () => executor.deadline(monotonicMs() + deadlineMs);
  moveOn();
  setInterval(moveOn, deadlineMs / 10);
}
