/**
 * Three processes become a cluster, a job goes through them, and the command line shows both.
 */
import { expect, test } from 'vitest';
import type { ClusterStatus } from '../../src/daemon/api.ts';
import type { VerifyJson } from '../../src/http/job-json.ts';
import { openScene, report, voters } from './harness.ts';
import { expectExactlyOnce } from './lines.ts';

const POINTS = 1_000;

test('three nodes elect a leader, and cluster status shows them', async () => {
  const scene = await openScene(voters(1));
  const leader = await scene.cluster.leader();
  await scene.cluster.until('three workers that joined', async () => {
    return (await scene.cluster.status(leader))?.workers.length === 3 ? true : null;
  });

  const json = await scene.polaris(['cluster', 'status', '-o', 'json'], [leader]);
  expect(json.exit).toBe(0);
  const status = JSON.parse(json.stdout) as ClusterStatus;
  expect(status.leader).toBe(leader);
  expect(status.term).toBeGreaterThan(0);
  expect(status.members.map(({ id, address }) => [id, address])).toEqual(
    scene.cluster.ids.map((id) => [id, scene.cluster.address(id)]),
  );
  expect(status.members.filter((member) => member.role === 'leader').map((member) => member.id)).toEqual([leader]);
  expect(status.workers.map(({ id, slots }) => [id, slots])).toEqual([
    ['n1', 1],
    ['n2', 1],
    ['n3', 1],
  ]);

  const table = await scene.polaris(['cluster', 'status']);
  expect(table.exit).toBe(0);
  expect(table.stdout).toMatch(new RegExp(`^leader +${leader}$`, 'm'));
  for (const id of scene.cluster.ids) {
    const role = id === leader ? 'leader' : '\\w+';
    expect(table.stdout).toMatch(new RegExp(`^${id} +${scene.cluster.address(id)} +${role} `, 'm'));
  }
});

test('a job over three nodes, by the command line, has each of its points once', async () => {
  const scene = await openScene(voters(2));
  const submit = ['job', 'submit', 'append', '--start', '0', '--end', String(POINTS)];
  const submitted = await scene.polaris([...submit, '--metadata', JSON.stringify(scene.sink('out'))]);
  expect(submitted.stderr).toBe('');
  expect(submitted.exit).toBe(0);
  expect(submitted.stdout).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\n$/);
  const id = submitted.stdout.trim();

  const waited = await scene.polaris(['job', 'wait', id, '--timeout', '60s', '-o', 'json']);
  expect(waited.exit).toBe(0);
  const job = JSON.parse(waited.stdout);
  expect(job).toMatchObject({ id, state: 'done', progress: { total: POINTS, done: POINTS, failed: 0, reexecuted: 0 } });
  expectExactlyOnce(scene.lines('out'), POINTS);
  report(`1000 points took ${Date.parse(job.finishedAt) - Date.parse(job.createdAt)} ms`);

  const verified = await scene.polaris(['job', 'verify', id, '-o', 'json']);
  expect(verified.exit).toBe(0);
  const whole: VerifyJson = {
    covered: true,
    missing: [],
    failed: [],
    uncertain: [],
    reexecuted: [],
    claim: 're-executed at most 0 times in all',
  };
  expect(JSON.parse(verified.stdout)).toEqual(whole);
  expect((await scene.polaris(['job', 'verify', id])).stdout).toMatch(/^covered +yes$/m);
});

test('the same id with the same spec is the same job, also under the next leader; another spec is 409', async () => {
  const scene = await openScene(voters(1));
  const { cluster } = scene;
  const id = '0b9e3c1a-5f0d-4c83-9f64-2f3f5f0a7d11';
  const spec = { id, name: 'append', start: 0, end: 20, metadata: scene.sink('out'), options: { taskSize: 5 } };
  const other = { ...spec, end: 21 };
  const leader = await cluster.leader();

  const created = await cluster.request(leader, 'POST', '/v1/jobs', spec);
  expect(created.status).toBe(201);
  await scene.finished(id);
  for (const node of cluster.ids) {
    const again = await cluster.request(node, 'POST', '/v1/jobs', spec);
    expect([again.status, again.body]).toMatchObject([200, { id, state: 'done' }]);
    const refused = await cluster.request(node, 'POST', '/v1/jobs', other);
    expect([refused.status, refused.body]).toMatchObject([409, { code: 'SPEC_CONFLICT' }]);
  }

  await cluster.signal(leader, 'SIGKILL');
  const next = await cluster.leader();
  expect(next).not.toBe(leader);
  const again = await cluster.request(next, 'POST', '/v1/jobs', spec);
  expect([again.status, again.body]).toMatchObject([200, { id, state: 'done' }]);
  const refused = await cluster.request(next, 'POST', '/v1/jobs', other);
  expect([refused.status, refused.body]).toMatchObject([409, { code: 'SPEC_CONFLICT' }]);
  expectExactlyOnce(scene.lines('out'), 20);
});
