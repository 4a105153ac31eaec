/**
 * A full disk: the node ends and says so, as often as it is started, and has lost nothing once there is room again.
 */
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { mountRefusal, mountSmall, unmount } from '../../chaos/disk-faults.ts';
import type { JobJson } from '../../src/http/job-json.ts';
import {
  acknowledge,
  endOf,
  expectCaughtUp,
  expectGoesOn,
  expectKept,
  expectLeanedOn,
  smallJob,
  startInVain,
} from './disk-scene.ts';
import { prepareScene, report, type Scene, voters } from './harness.ts';

const DISK_KIBIBYTES = 2_048;
/** Two pages: more than the last page of the log has left. */
const JOB_BYTES = 8_192;

const refusal = mountRefusal();
if (refusal !== null) report(`skipped: ${refusal}`);

test.skipIf(refusal !== null)(
  `a full disk: its node ends with DISK_FAILED, the others go on, and with room again it has lost nothing${
    refusal === null ? '' : ` (${refusal})`
  }`,
  async () => {
    const scene = await prepareScene(voters(1));
    const { cluster } = scene;
    const disk = cluster.dataDir('n3');
    mountSmall(disk, DISK_KIBIBYTES);
    try {
      cluster.start();
      await cluster.leader();
      const jobs = await acknowledge(scene, 5);
      await expectCaughtUp(scene, 'n3', jobs);

      const ballast = join(disk, 'ballast');
      const ending = endOf(scene, 'n3');
      fillUp(ballast);
      jobs.push(...(await submitUntilEnded(scene, 'n3')));
      const end = await ending;
      expect(end).toMatchObject({ code: 1, signal: null });
      expect(end.sentence).toMatch(/^polaris: DISK_FAILED: .*No space left on device/);
      expect(end.lines.at(-1)).toBe(end.sentence);

      await expectKept(scene, jobs);
      await expectGoesOn(scene, 'without');
      for (const time of ['first', 'second']) {
        const again = await startInVain(scene, 'n3');
        expect(again, `the ${time} start on the full disk`).toMatchObject({ code: 1, signal: null });
        expect(again.sentence).toMatch(/^polaris: DISK_FAILED: .*No space left on device/);
      }

      rmSync(ballast);
      cluster.start('n3');
      await expectCaughtUp(scene, 'n3', jobs);
      await expectLeanedOn(scene, 'n3', jobs);
    } finally {
      // Before the directory of the scene is removed, which ends at a mount point.
      await cluster.stop();
      unmount(disk);
    }
  },
);

/** Writes zeros until there is no room for one more. */
function fillUp(path: string): void {
  const file = openSync(path, 'w');
  const zeros = Buffer.alloc(4_096);
  try {
    while (writeSync(file, zeros) > 0);
  } catch (thrown) {
    expect(thrown).toMatchObject({ code: 'ENOSPC' });
  } finally {
    closeSync(file);
  }
}

/** Submits until the node has ended; at least one job is acknowledged by the two others alone. */
async function submitUntilEnded(scene: Scene, id: string): Promise<JobJson[]> {
  const jobs: JobJson[] = [];
  do jobs.push(await scene.submit(smallJob(JOB_BYTES)));
  while (scene.cluster.running(id));
  report(`${id} ended after ${jobs.length} jobs of ${JOB_BYTES} bytes`);
  return jobs;
}
