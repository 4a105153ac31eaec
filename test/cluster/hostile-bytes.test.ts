/**
 * Garbage, giant and truncated frames, forged votes and connections that hang: a node cuts them off and goes on.
 */
import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { expect, test } from 'vitest';
import { FRAME_BYTES_MAX, PENDING_CONNECTIONS_MAX, PROTOCOL } from '../../src/base/limits.ts';
import { encodeHello, encodeMessage, encodeRefusal } from '../../src/wire/codec.ts';
import { openScene, voters } from './harness.ts';
import { cutOff, frame, Intruder, TEXT } from './intruder.ts';
import { expectExactlyOnce } from './lines.ts';

const FORGED_TERM = 1_000_000;
const FORGED_VOTE = {
  type: 'vote',
  term: FORGED_TERM,
  lastIndex: FORGED_TERM,
  lastTerm: FORGED_TERM,
  transfer: true,
  commit: FORGED_TERM,
  commitTerm: FORGED_TERM,
} as const;

/** The hello of a worker that nobody knows, which any cluster lets in. */
function workerHello(): Uint8Array {
  return encodeHello({
    ...{ protocol: PROTOCOL, protocolMin: PROTOCOL, clusterId: null, nodeId: 'intruder' },
    instanceId: '3f1c1b52-57cf-4a7c-8b57-6c1b0a6c0f11',
    ...{ role: 'worker', address: '127.0.0.1:9', joining: false, sessionTtlMs: 5_000, empty: true, members: [] },
  });
}

/** What ends a connection, by name. */
const BAD: { readonly [name: string]: (socket: Socket) => void } = {
  garbage: (socket) => socket.write(frame(randomBytes(4_096))),
  'a text': (socket) => socket.write(frame(Buffer.from('hello'), { opcode: TEXT })),
  'an empty frame': (socket) => socket.write(frame(Buffer.alloc(0))),
  'deep nesting': (socket) => socket.write(frame(Buffer.alloc(100_000, 0x91))),
  'an array of 2^32 - 1 values': (socket) => socket.write(frame(Buffer.from([0xdd, 0xff, 0xff, 0xff, 0xff]))),
  'a frame that claims 2^50 bytes': (socket) => socket.write(frame(Buffer.alloc(10), { claimed: 2 ** 50 })),
  'a frame over the limit': (socket) => socket.write(frame(Buffer.alloc(FRAME_BYTES_MAX + 1, 0xc0))),
  'bytes that are no WebSocket frame': (socket) => socket.write(Buffer.alloc(1_000, 0xff)),
  'a vote before the hello': (socket) => socket.write(frame(encodeMessage({ ...FORGED_VOTE, from: 'n1', to: 'n2' }))),
  'a refusal that ends whom it is meant for': (socket) => {
    socket.write(frame(workerHello()));
    socket.write(frame(encodeRefusal({ code: 'INSTANCE_MISMATCH', detail: 'join under a new id' })));
  },
  'a hello cut short': (socket) => socket.write(frame(workerHello().subarray(0, 20))),
  'a frame cut short by the end': (socket) => socket.end(frame(workerHello().subarray(0, 20), { claimed: 90 })),
};

test('one node alone takes no order to end from a stranger', async () => {
  const scene = await openScene(voters(1, ['n1']));
  const intruder = new Intruder(scene.cluster.address('n1'));
  try {
    for (const code of ['INSTANCE_MISMATCH', 'CLUSTER_MISMATCH', 'STRANGER', 'PROTOCOL_MISMATCH']) {
      const refusal = frame(encodeRefusal({ code, detail: 'away with you' }));
      const sockets = [await intruder.upgrade(), await intruder.upgrade()];
      sockets[0]?.write(refusal);
      sockets[1]?.write(Buffer.concat([frame(workerHello()), refusal]));
      await Promise.all(sockets.map(cutOff));
    }
  } finally {
    intruder.leave();
  }
  const { id } = await scene.submit({ name: 'append', start: 0, end: 50, metadata: scene.sink('out') });
  expect((await scene.finished(id)).state).toBe('done');
  expectExactlyOnce(scene.lines('out'), 50);
});

test('garbage, giant and truncated frames, forged votes and hanging connections change nothing', async () => {
  const scene = await openScene(voters(1));
  const { cluster } = scene;
  const leader = await cluster.leader();
  const before = await cluster.status(leader);
  const pids = cluster.ids.map((id) => cluster.pid(id));
  const intruders = cluster.ids.map((id) => new Intruder(cluster.address(id)));
  try {
    for (const intruder of intruders) {
      const strikes = Object.values(BAD).map(async (strike) => {
        const socket = await intruder.upgrade();
        strike(socket);
        await cutOff(socket);
      });
      await Promise.all(strikes);
      // A worker has no vote, whatever it says: the message is valid, and of no consequence.
      const admitted = await intruder.upgrade();
      admitted.write(frame(workerHello()));
      admitted.write(frame(encodeMessage({ ...FORGED_VOTE, from: 'intruder', to: 'n1' })));
      const silent = await intruder.connect();
      const halfRequest = await intruder.connect();
      halfRequest.write('GET /raft HTTP/1.1\r\nHost: ');
      const halfFrame = await intruder.upgrade();
      halfFrame.write(frame(workerHello(), { claimed: FRAME_BYTES_MAX }));
      for (let count = 0; count < PENDING_CONNECTIONS_MAX; count++) await intruder.upgrade();
      expect([silent.closed, halfRequest.closed]).toEqual([false, false]);
    }

    // While all of them hang.
    const { id } = await scene.submit({ name: 'append', start: 0, end: 300, metadata: scene.sink('out') });
    expect((await scene.finished(id)).state).toBe('done');
    expectExactlyOnce(scene.lines('out'), 300);
    for (const node of cluster.ids) {
      const status = await cluster.status(node);
      expect([node, status?.leader, status?.term]).toEqual([node, leader, before?.term]);
      expect(scene.log(node).some((record) => record.msg === 'bad-frame')).toBe(true);
    }
    expect(cluster.ids.map((id) => cluster.pid(id))).toEqual(pids);
  } finally {
    for (const intruder of intruders) intruder.leave();
  }
});
