/** GET /v1/cluster/backup, from the leader, through a follower and by the client. */
import { afterEach, describe, expect, test } from 'vitest';
import { PolarisClient } from '../../src/client/client.ts';
import { decodeBackup, tableOf } from '../../src/daemon/backup.ts';
import { FakeNode, ID_1, ID_2, listen, serverOf } from './fake-node.ts';

const closing: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const one of closing.splice(0)) await one.close();
});

async function serve(node: FakeNode): Promise<string> {
  const app = serverOf(node);
  closing.push(app);
  return listen(app);
}

function withJob(id = 'n1'): FakeNode {
  const node = new FakeNode(id);
  node.pen.submit({ id: ID_1 });
  return node;
}

describe('a backup over HTTP', () => {
  test('is the whole table of the leader as one file', async () => {
    const answer = await serverOf(withJob()).inject('/v1/cluster/backup');
    expect([answer.statusCode, answer.headers['content-type']]).toEqual([200, 'application/octet-stream']);
    const backup = decodeBackup(answer.rawPayload);
    expect(backup).toMatchObject({ clusterId: ID_2, term: 3 });
    expect(tableOf(backup).job(ID_1)?.state).toBe('pending');
  });

  test('comes unchanged through a node that does not lead, and through the client', async () => {
    const leader = withJob();
    const follower = new FakeNode('n2');
    follower.leading = false;
    follower.leader = await serve(leader);
    const client = new PolarisClient({ urls: [`http://${await serve(follower)}`] });
    const direct = await serverOf(leader).inject('/v1/cluster/backup');
    expect(Buffer.from(await client.backup()).equals(direct.rawPayload)).toBe(true);
  });

  test('is a problem like any other when nobody leads or the query is wrong', async () => {
    const lost = new FakeNode();
    lost.leading = false;
    expect((await serverOf(lost).inject('/v1/cluster/backup')).json()).toMatchObject({
      code: 'NO_LEADER',
      status: 503,
    });
    const odd = await serverOf(withJob()).inject('/v1/cluster/backup?consistency=local');
    expect(odd.json()).toMatchObject({ status: 400 });
    const posted = await serverOf(withJob()).inject({ method: 'POST', url: '/v1/cluster/backup' });
    expect([posted.statusCode, posted.headers.allow]).toEqual([405, 'GET, HEAD']);
  });

  test('is asked of another node when the first one has no leader to ask', async () => {
    const lost = new FakeNode();
    lost.failure = 'NO_LEADER';
    const urls = [`http://${await serve(lost)}`, `http://${await serve(withJob())}`];
    expect(decodeBackup(await new PolarisClient({ urls }).backup()).clusterId).toBe(ID_2);
  });
});
