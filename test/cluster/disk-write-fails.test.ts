/**
 * A disk that fails a sync: the node ends at once and says so, and comes back from what its disk holds.
 *
 * Only one sync is failed. The kernel may have dropped the pages and would answer the next sync with success, so a node
 * that tried again would acknowledge what is on no disk.
 */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { injectionRefusal, tamperWithSync } from '../../chaos/disk-faults.ts';
import {
  acknowledge,
  endOf,
  expectCaughtUp,
  expectGoesOn,
  expectKept,
  expectLeanedOn,
  smallJob,
} from './disk-scene.ts';
import { openScene, report, voters } from './harness.ts';

const refusal = injectionRefusal();
if (refusal !== null) report(`skipped: ${refusal}`);

test.skipIf(refusal !== null)(
  `EIO on one fdatasync of the leader: it ends with DISK_FAILED and never syncs again, the others go on, and it comes back${
    refusal === null ? '' : ` (${refusal})`
  }`,
  async () => {
    const scene = await openScene(voters(1));
    const { cluster } = scene;
    const jobs = await acknowledge(scene, 5);
    const leader = await cluster.leader();
    const ending = endOf(scene, leader);
    await using tampering = await tamperWithSync(cluster.pid(leader), 'error=EIO:when=1', join(scene.dir, 'trace'));
    const failedAt = Date.now();
    // Goes through whoever answers: with its id it may be sent again, and is acknowledged once.
    jobs.push(await scene.submit(smallJob()));

    const end = await ending;
    report(`${leader} ended ${Date.now() - failedAt} ms after the fault was set`);
    expect(end).toMatchObject({ code: 1, signal: null });
    expect(end.sentence).toMatch(/^polaris: DISK_FAILED: .*Input\/output error/);
    expect(end.lines.at(-1)).toBe(end.sentence);
    await tampering.end();
    const syncs = tampering
      .trace()
      .split('\n')
      .filter((line) => /\bf(data)?sync\(/.test(line));
    expect(syncs[0]).toContain('EIO (Input/output error) (INJECTED)');
    expect(syncs).toHaveLength(1);

    const next = await cluster.leader();
    expect(next).not.toBe(leader);
    await expectKept(scene, jobs);
    await expectGoesOn(scene, 'without');

    cluster.start(leader);
    await expectCaughtUp(scene, leader, jobs);
    await expectLeanedOn(scene, leader, jobs);
  },
);
