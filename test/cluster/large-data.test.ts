/** Data that is larger than what a node may take of memory for it goes through a cluster and comes out as it went in. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import { openScene, report, voters } from './harness.ts';
import { hashOfFile, peakMib, writeLarge } from './large-content.ts';

const MIB = 192;
/** The program itself takes some 110, Arrow 40, the cache of remote pieces 64. Data that is gathered whole comes on top. */
const PEAK_MIB_MAX = 288;

test(`${MIB} MiB go in through one node and out through another, and no node holds them`, async () => {
  const scene = await openScene(voters(0));
  const { cluster, dir } = scene;
  const [file, back] = [join(dir, 'large.arrows'), join(dir, 'back.arrows')];
  await writeLarge(file, MIB);
  const leader = await cluster.leader();
  const follower = must(
    cluster.ids.find((id) => id !== leader),
    'a follower',
  );
  const put = await scene.polaris(['dataset', 'put', 'large', file], [leader]);
  expect(put).toMatchObject({ exit: 0 });
  const got = await scene.polaris(['dataset', 'get', 'large', back], [follower]);
  expect(got).toMatchObject({ exit: 0 });
  expect(await hashOfFile(back)).toBe(await hashOfFile(file));
  const peaks = cluster.ids.map((id) => peakMib(cluster.pid(id)));
  report(`peaks: ${peaks.map((peak) => `${peak.toFixed(0)} MiB`).join(', ')}`);
  expect(Math.max(...peaks)).toBeLessThan(PEAK_MIB_MAX);
});
