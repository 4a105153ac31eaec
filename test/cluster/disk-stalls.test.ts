/**
 * A disk that answers no sync: its node hears and speaks as ever, and yet another must lead.
 */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { injectionRefusal, tamperWithSync } from '../../chaos/disk-faults.ts';
import { acknowledge, expectCaughtUp, expectGoesOn, expectKept, expectLeanedOn, smallJob } from './disk-scene.ts';
import { openScene, report, voters, worker } from './harness.ts';

const refusal = injectionRefusal();
if (refusal !== null) report(`skipped: ${refusal}`);

test.skipIf(refusal !== null)(
  `the disk of the leader stalls: it steps down and another serves; when the disk answers again, it catches up${
    refusal === null ? '' : ` (${refusal})`
  }`,
  async () => {
    // What jobs write goes to the disk of a worker: one that stalls would hold its task, and the job with it.
    const scene = await openScene([...voters(0), worker('w1', 1)]);
    const { cluster } = scene;
    const jobs = await acknowledge(scene, 5);
    const leader = await cluster.leader();
    const before = await cluster.status(leader);
    // Longer than any wait of this test: what becomes of the node does not come from its disk.
    await using tampering = await tamperWithSync(cluster.pid(leader), 'delay_enter=600s', join(scene.dir, 'trace'));
    const stalledAt = Date.now();
    jobs.push(await scene.submit(smallJob()));

    const next = await cluster.until('another leader', async () => {
      const others = cluster.ids.filter((id) => id !== leader);
      const said = await Promise.all(others.map((id) => cluster.status(id)));
      return said.find((status) => others.includes(status?.leader ?? ''))?.leader ?? null;
    });
    report(`${next} leads ${Date.now() - stalledAt} ms after the disk of ${leader} stalled`);
    expect((await cluster.status(next))?.term).toBeGreaterThan(before?.term ?? 0);
    const old = await cluster.until(`${leader} knows`, async () => {
      const status = await cluster.status(leader);
      return status !== null && status.leader !== leader ? status : null;
    });
    expect(old.id).toBe(before?.id);
    jobs.push(...(await acknowledge(scene, 2)));
    await expectKept(scene, jobs);
    await expectGoesOn(scene, 'stalled');
    expect(cluster.running(leader)).toBe(true);
    const led = await Promise.all(cluster.ids.map((id) => cluster.status(id)));
    expect(led.filter((status) => status?.leader === leader)).toEqual([]);

    await tampering.end();
    await expectCaughtUp(scene, leader, jobs);
    await expectLeanedOn(scene, leader, jobs);
  },
);
