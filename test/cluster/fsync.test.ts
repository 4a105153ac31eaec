/**
 * Synced before answered, as the kernel saw it: between the bytes of a submit and those of its 201 lies an fdatasync.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { prepareScene, report, voters } from './harness.ts';
import { readTrace, straceCommand, straceRefusal } from './strace.ts';

const refusal = straceRefusal();
if (refusal !== null) report(`skipped: ${refusal}`);

test.skipIf(refusal !== null)(
  `a submit is on disk before it is answered${refusal === null ? '' : ` (${refusal})`}`,
  async () => {
    const scene = await prepareScene(voters(0, ['n1']));
    const { cluster } = scene;
    const output = join(scene.dir, 'trace');
    cluster.start('n1', straceCommand(output, ['read', 'write', 'writev', 'sendto', 'sendmsg', 'fdatasync', 'fsync']));
    await cluster.leader();
    const { pid } = await scene.logged('n1', 'its process id', (record) => record.msg === 'listening');
    const answer = await cluster.request('n1', 'POST', '/v1/jobs', {
      ...{ name: 'append', start: 0, end: 10, metadata: scene.sink('out') },
    });
    expect(answer.status).toBe(201);
    // The traced process, not strace before it: strace ends with it, its output complete.
    const ended = cluster.ended('n1');
    process.kill(Number(pid), 'SIGTERM');
    await ended;

    const calls = readTrace(output);
    const request = calls.find(({ name, text }) => name === 'read' && text.includes('"POST /v1/jobs '));
    const reply = calls.find(
      ({ name, text }) => /^(write|writev|sendto|sendmsg)$/.test(name) && text.includes('HTTP/1.1 201'),
    );
    if (request === undefined || reply === undefined) {
      throw new Error(`the trace lacks the request or its answer: ${readFileSync(output, 'utf8').slice(-2_000)}`);
    }
    const between = calls.filter(({ name, text, begun, returned }) => {
      if (!/^f(data)?sync$/.test(name) || !/ = 0\b/.test(text)) return false;
      return begun >= request.returned && returned <= reply.begun;
    });
    expect(between).not.toEqual([]);
    report(`the answer began ${Math.round((reply.begun - request.returned) * 1e3)} ms after the request, under strace`);
  },
);
