/**
 * Without a majority nothing is promised: requests that need the log are refused at once, those that do not are answered.
 */
import { expect, test } from 'vitest';
import { openScene, type Scene, voters } from './harness.ts';

/** A node that was away learns of the end of the job a moment after the leader does. */
async function everyNodeKnows(scene: Scene, job: string): Promise<void> {
  await scene.cluster.until('every node to know the end of the job', async () => {
    for (const node of scene.cluster.ids) {
      const answer = await scene.cluster.request(node, 'GET', `/v1/jobs/${job}?consistency=local`).catch(() => null);
      if ((answer?.body as { readonly state?: string } | undefined)?.state !== 'done') return null;
    }
    return true;
  });
}

async function expectRefusals(scene: Scene, node: string, job: string): Promise<void> {
  const { cluster } = scene;
  await cluster.until(`${node} to name no leader`, async () => {
    const status = await cluster.status(node);
    return status?.leader === null ? status : null;
  });
  const submission = { name: 'append', start: 0, end: 5, metadata: scene.sink('never') };
  for (const [method, path, body] of [
    ['POST', '/v1/jobs', submission],
    ['GET', `/v1/jobs/${job}`, undefined],
    ['GET', `/v1/jobs/${job}/verify?consistency=linearizable`, undefined],
    ['POST', `/v1/jobs/${job}/pause`, undefined],
  ] as const) {
    const answer = await cluster.request(node, method, path, body);
    expect([method, path, answer.status, answer.body]).toMatchObject([method, path, 503, { code: 'NO_LEADER' }]);
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
  }
  const local = await cluster.request(node, 'GET', `/v1/jobs/${job}?consistency=local`);
  expect([local.status, local.body]).toMatchObject([200, { id: job, state: 'done' }]);
  const status = await cluster.request(node, 'GET', '/v1/cluster');
  expect([status.status, status.body]).toMatchObject([200, { leader: null }]);
  expect((await scene.polaris(['cluster', 'status'], [node])).exit).toBe(5);
}

test('one node of three, leader or not, answers 503 with Retry-After, and what is local it answers', async () => {
  const scene = await openScene(voters(1));
  const { cluster } = scene;
  const { id } = await scene.submit({ name: 'append', start: 0, end: 5, metadata: scene.sink('out') });
  await scene.finished(id);

  const leader = await cluster.leader();
  const followers = cluster.ids.filter((node) => node !== leader);
  await everyNodeKnows(scene, id);
  // The leader is left: it must notice that nobody follows.
  await Promise.all(followers.map((node) => cluster.signal(node, 'SIGKILL')));
  await expectRefusals(scene, leader, id);

  cluster.start();
  const next = await cluster.leader();
  await everyNodeKnows(scene, id);
  const left = cluster.ids.find((node) => node !== next) ?? next;
  await Promise.all(cluster.ids.filter((node) => node !== left).map((node) => cluster.signal(node, 'SIGKILL')));
  await expectRefusals(scene, left, id);

  const ended = cluster.ended(left);
  await cluster.signal(left, 'SIGTERM');
  expect(await ended).toEqual({ code: 0, signal: null });
});
