/** Peers on loopback: real sockets, ephemeral ports, and nothing that waits for time. */

import { once } from 'node:events';
import { createServer } from 'node:net';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import {
  FRAME_BYTES_MAX,
  HELLO_TIMEOUT_MS,
  PENDING_CONNECTIONS_MAX,
  PING_INTERVAL_MS,
  SOCKET_QUEUE_BYTES_MAX,
} from '../../src/base/limits.ts';
import { decodeFrame, encodeHello, encodeMessage, encodeWelcome } from '../../src/wire/codec.ts';
import type { Hello, WireMessage } from '../../src/wire/messages.ts';
import type { ProbeOutcome } from '../../src/wire/network.ts';
import { splitAddress } from '../../src/wire/probe.ts';
import { TestNode } from './switchboard.ts';

const nodes: TestNode[] = [];
const strangers: WebSocket[] = [];

async function start(...options: Parameters<typeof TestNode.start>): Promise<TestNode> {
  const node = await TestNode.start(...options);
  nodes.push(node);
  return node;
}

afterEach(async () => {
  vi.useRealTimers();
  for (const stranger of strangers.splice(0)) stranger.terminate();
  await Promise.all(nodes.splice(0).map((node) => node.stop()));
});

/** A WebSocket of our own making, for what a node would never send. */
async function stranger(node: TestNode, options: { path?: string; origin?: string } = {}): Promise<WebSocket> {
  const headers = options.origin === undefined ? {} : { origin: options.origin };
  const socket = new WebSocket(`ws://${node.address}${options.path ?? '/raft'}`, { headers });
  strangers.push(socket);
  socket.on('error', () => {});
  await once(socket, 'open');
  return socket;
}

/** A stranger that said hello as `nodeId` and was let in. */
async function guest(node: TestNode, nodeId: string): Promise<WebSocket> {
  const socket = await stranger(node);
  socket.send(encodeHello({ ...node.hello, nodeId, instanceId: `instance of ${nodeId}` }));
  socket.send(encodeWelcome());
  await node.next('connected', nodeId);
  return socket;
}

const heartbeat = (round: number): WireMessage => ({
  type: 'heartbeat',
  match: 0,
  from: 'n1',
  to: 'n2',
  term: 1,
  commit: 0,
  round,
});

async function pair(): Promise<[TestNode, TestNode]> {
  const n1 = await start('n1');
  const n2 = await start('n2');
  n1.peers.dial(n2.address);
  await Promise.all([n1.next('connected', 'n2'), n2.next('connected', 'n1')]);
  return [n1, n2];
}

describe('peers', () => {
  test('one dials, both are told, and messages pass both ways', async () => {
    const [n1, n2] = await pair();
    n1.peers.send('n2', heartbeat(7));
    expect((await n2.next('message', 'n1')).message).toEqual(heartbeat(7));
    n2.peers.send('n1', { type: 'formed' });
    expect((await n1.next('message', 'n2')).message).toEqual({ type: 'formed' });
  });

  test('messages of one turn arrive in order, and a large one whole', async () => {
    const [n1, n2] = await pair();
    const data = new Uint8Array(FRAME_BYTES_MAX - 100).fill(7);
    n1.peers.send('n2', heartbeat(1));
    n1.peers.send('n2', { type: 'snapshot-chunk', term: 1, attempt: 1, offset: 0, crc: 0, data });
    n1.peers.send('n2', heartbeat(2));
    expect((await n2.next('message')).message).toEqual(heartbeat(1));
    const large = (await n2.next('message')).message;
    expect(large?.type === 'snapshot-chunk' && Buffer.compare(large.data, data)).toBe(0);
    expect((await n2.next('message')).message).toEqual(heartbeat(2));
  });

  test('a message to a node without a connection is dropped', async () => {
    const n1 = await start('n1');
    n1.peers.send('n9', heartbeat(1));
    expect(n1.told).toEqual([]);
  });

  test('two nodes that dial each other lose each other only with the last connection', async () => {
    const [n1, n2] = await pair();
    n2.peers.dial(n1.address);
    await Promise.all([n1.next('connected', 'n2'), n2.next('connected', 'n1')]);
    n1.peers.forget(n2.address);
    n2.peers.send('n1', heartbeat(1));
    await n1.next('message', 'n2');
    n1.peers.send('n2', heartbeat(2));
    await n2.next('message', 'n1');
    expect(n1.count('disconnected') + n2.count('disconnected')).toBe(0);
    n2.peers.forget(n1.address);
    await Promise.all([n1.next('disconnected', 'n2'), n2.next('disconnected', 'n1')]);
  });

  test('a node that went away is found again when it is back', async () => {
    const [n1, n2] = await pair();
    const port = splitAddress(n2.address)?.port ?? 0;
    nodes.splice(nodes.indexOf(n2), 1);
    await n2.stop();
    await n1.next('disconnected', 'n2');
    const again = await start('n2', { port });
    await Promise.all([n1.next('connected', 'n2'), again.next('connected', 'n1')]);
    n1.peers.send('n2', heartbeat(3));
    await again.next('message', 'n1');
  });

  test('a dialled node that is not there yet is found when it comes', async () => {
    const n2 = await TestNode.start('n2');
    const port = splitAddress(n2.address)?.port ?? 0;
    await n2.stop();
    const n1 = await start('n1');
    n1.peers.dial(n2.address);
    const late = await start('n2', { port });
    await Promise.all([n1.next('connected', 'n2'), late.next('connected', 'n1')]);
  });

  test('a newer connection of a node takes the place of its older one', async () => {
    const n1 = await start('n1');
    const older = await guest(n1, 'n2');
    const closed = once(older, 'close');
    const newer = await guest(n1, 'n2');
    await closed;
    expect(n1.count('disconnected')).toBe(0);
    const frames: string[] = [];
    newer.on('message', (data: Buffer) => frames.push(decodeFrame(data, { from: 'n1', to: 'n2' }).kind));
    n1.peers.send('n2', heartbeat(1));
    while (!frames.includes('message')) await once(newer, 'message');
  });

  test('a connection with itself is dropped without a word', async () => {
    const n1 = await start('n1');
    const n2 = await start('n2');
    n1.peers.dial(n1.address.replace('127.0.0.1', 'localhost'));
    n1.peers.dial(n2.address);
    await n1.next('connected', 'n2');
    expect(n1.count('connected', 'n1') + n1.count('refused')).toBe(0);
  });

  test('close tells nobody here, and the other side that the line is gone', async () => {
    const [n1, n2] = await pair();
    const before = n1.told.length;
    await n1.peers.close();
    await n2.next('disconnected', 'n1');
    expect(n1.told).toHaveLength(before);
  });
});

describe('peers, refusals', () => {
  const no = { code: 'CLUSTER_MISMATCH', detail: 'another cluster' };

  test('a dialler that is not admitted is told so, and is never connected', async () => {
    const n1 = await start('n1');
    const n2 = await start('n2', { admit: () => no });
    n1.peers.dial(n2.address);
    expect(await n1.next('refused', n2.address)).toMatchObject({ refusal: no });
    expect(n1.count('connected') + n2.count('connected')).toBe(0);
    await n2.next('log', 'peer-refused');
  });

  test('a dialled node that is not admitted is told so, by the address where the dialler listens', async () => {
    const n1 = await start('n1', { admit: () => no });
    const n2 = await start('n2');
    n1.peers.dial(n2.address);
    expect(await n2.next('refused', n1.address)).toMatchObject({ refusal: no });
    expect(n1.count('connected') + n2.count('connected')).toBe(0);
  });

  test('a refused dialler is let in once the other side knows it', async () => {
    let known = false;
    const n1 = await start('n1');
    const n2 = await start('n2', { admit: () => (known ? null : no) });
    n1.peers.dial(n2.address);
    await n1.next('refused');
    known = true;
    await Promise.all([n1.next('connected', 'n2'), n2.next('connected', 'n1')]);
  });

  test('nodes without a common protocol version refuse each other', async () => {
    const n1 = await start('n1');
    const n2 = await start('n2', { hello: { protocol: 9, protocolMin: 5 } });
    n1.peers.dial(n2.address);
    for (const { refusal } of await Promise.all([n1.next('refused'), n2.next('refused')])) {
      expect(refusal?.code).toBe('PROTOCOL_MISMATCH');
      expect(refusal?.detail).toMatch(/n. speaks protocol \d to \d, n. \d to \d/);
    }
    expect(n1.count('connected') + n2.count('connected')).toBe(0);
  });

  test('other paths get 404, browsers 403, and neither hurts the server', async () => {
    const n1 = await start('n1');
    const status = async (path: string, origin?: string): Promise<number | undefined> => {
      const socket = new WebSocket(`ws://${n1.address}${path}`, { headers: origin === undefined ? {} : { origin } });
      socket.on('error', () => {});
      const [, response] = await once(socket, 'unexpected-response');
      response.resume();
      socket.terminate();
      return response.statusCode;
    };
    expect(await status('/other')).toBe(404);
    expect(await status('/raft/')).toBe(404);
    expect(await status('/raft', 'http://evil.example')).toBe(403);
    await guest(n1, 'n2');
  });
});

describe('peers, bad frames', () => {
  /** Sends what is bad beside an honest connection; gives the refusal that came back, if any. */
  async function misbehave(send: (socket: WebSocket, hello: Hello) => void): Promise<string | null> {
    const [n1, n2] = await pair();
    const bad = await guest(n1, 'n3');
    let code: string | null = null;
    bad.on('message', (data: Buffer) => {
      const frame = decodeFrame(data, { from: 'n1', to: 'n3' });
      if (frame.kind === 'refusal') code = frame.refusal.code;
    });
    const closed = once(bad, 'close');
    send(bad, n1.hello);
    await closed;
    await n1.next('log', 'bad-frame');
    await n1.next('disconnected', 'n3');
    n1.peers.send('n2', heartbeat(1));
    await n2.next('message', 'n1');
    n2.peers.send('n1', heartbeat(2));
    await n1.next('message', 'n2');
    expect(n1.count('disconnected', 'n2') + n1.count('message', 'n3')).toBe(0);
    return code;
  }

  test('garbage closes its own connection only', async () => {
    expect(await misbehave((socket) => socket.send(Buffer.from('garbage')))).toBe('BAD_FRAME');
  });

  test('a truncated frame closes its own connection only', async () => {
    expect(await misbehave((socket) => socket.send(encodeMessage(heartbeat(1)).subarray(0, 3)))).toBe('BAD_FRAME');
  });

  test('a text frame closes its own connection only', async () => {
    expect(await misbehave((socket) => socket.send('hello?'))).toBe('BAD_FRAME');
  });

  test('a second hello closes its own connection only', async () => {
    expect(await misbehave((socket, hello) => socket.send(encodeHello(hello)))).toBe('BAD_FRAME');
  });

  test('a giant frame closes its own connection only, before it is read', async () => {
    const [n1] = await pair();
    const bad = await guest(n1, 'n3');
    const closed = once(bad, 'close');
    // A header that announces 1 TiB, and nothing behind it.
    const header = Buffer.alloc(14);
    header.set([0x82, 0xff]);
    header.writeBigUInt64BE(1n << 40n, 2);
    const raw: unknown = Reflect.get(bad, '_socket');
    if (typeof raw !== 'object' || raw === null || !('write' in raw) || typeof raw.write !== 'function') {
      throw new Error('ws keeps its socket elsewhere now');
    }
    raw.write(header);
    await closed;
    await n1.next('log', 'bad-frame');
    await n1.next('disconnected', 'n3');
    expect(n1.count('disconnected', 'n2')).toBe(0);
  });

  test('a message before the hello is not handed up', async () => {
    const n1 = await start('n1');
    const socket = await stranger(n1);
    const closed = once(socket, 'close');
    socket.send(encodeMessage(heartbeat(1)));
    await closed;
    expect(n1.count('message')).toBe(0);
    expect(n1.count('log', 'bad-frame')).toBe(1);
  });

  test('a node that does not read is not waited for: messages beyond the queue are dropped', async () => {
    const n1 = await start('n1');
    const deaf = await guest(n1, 'n2');
    deaf.pause();
    const data = new Uint8Array(2 ** 21);
    const message: WireMessage = { type: 'snapshot-chunk', term: 1, attempt: 1, offset: 0, crc: 0, data };
    // Nothing leaves within one turn, so the queue fills by exactly what is sent.
    const fits = Math.ceil(SOCKET_QUEUE_BYTES_MAX / data.length);
    for (let sent = 0; sent < fits; sent++) n1.peers.send('n2', message);
    expect(n1.count('log', 'messages-dropped')).toBe(0);
    n1.peers.send('n2', message);
    n1.peers.send('n2', message);
    expect(n1.count('log', 'messages-dropped')).toBe(1);
  });
});

describe('peers, silence', () => {
  test('a connection that leaves two pings unanswered is ended', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const n1 = await start('n1');
    const deaf = await guest(n1, 'n2');
    deaf.pause();
    vi.advanceTimersByTime(2 * PING_INTERVAL_MS);
    expect(n1.count('disconnected')).toBe(0);
    vi.advanceTimersByTime(PING_INTERVAL_MS);
    await n1.next('disconnected', 'n2');
  });

  test('a connection that answers its pings stays', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const n1 = await start('n1');
    const alive = await guest(n1, 'n2');
    for (let round = 1; round <= 5; round++) {
      const pinged = once(alive, 'ping');
      vi.advanceTimersByTime(PING_INTERVAL_MS);
      await pinged;
      // Behind the pong on the same line: once it is there, the pong was.
      alive.send(encodeMessage({ type: 'formed' }));
      await n1.next('message', 'n2');
    }
    expect(n1.count('disconnected')).toBe(0);
  });

  test('a connection that says no hello is ended', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const n1 = await start('n1');
    const silent = await stranger(n1);
    const closed = once(silent, 'close');
    vi.advanceTimersByTime(HELLO_TIMEOUT_MS);
    await closed;
  });

  test('strangers beyond the limit are turned away until one of them leaves', async () => {
    const n1 = await start('n1');
    const waiting = await Promise.all(Array.from({ length: PENDING_CONNECTIONS_MAX }, () => stranger(n1)));
    const turnedAway = new WebSocket(`ws://${n1.address}/raft`);
    turnedAway.on('error', () => {});
    const [, response] = await once(turnedAway, 'unexpected-response');
    expect(response.statusCode).toBe(503);
    turnedAway.terminate();
    const first = waiting[0];
    if (first === undefined) throw new Error('nobody is waiting');
    first.send('not a hello');
    await once(first, 'close');
    const n2 = await start('n2');
    n2.peers.dial(n1.address);
    await n1.next('connected', 'n2');
  });
});

describe('peers, probes', () => {
  const probed = (node: TestNode, address: string) =>
    new Promise<ProbeOutcome>((resolve) => {
      node.peers.probe(address, resolve);
    });

  test('a probe tells a listener from a refusal, and says unknown of what is no address', async () => {
    const n1 = await start('n1');
    const n2 = await start('n2');
    expect(await probed(n1, n2.address)).toBe('open');
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const bound = server.address();
    const port = typeof bound === 'object' && bound !== null ? bound.port : 0;
    await new Promise((resolve) => server.close(resolve));
    expect(await probed(n1, `127.0.0.1:${port}`)).toBe('refused');
    expect(await probed(n1, 'nowhere')).toBe('unknown');
    expect(await probed(n1, '127.0.0.1:0')).toBe('unknown');
    expect(await probed(n1, 'no-such-host.invalid:80')).toBe('unknown');
  });

  test('addresses of this host are known by number and by localhost only', async () => {
    const n1 = await start('n1');
    for (const own of ['127.0.0.1:1', '127.9.9.9:1', 'localhost:1', '[::1]:1']) {
      expect(n1.peers.sameHost(own), own).toBe(true);
    }
    for (const other of ['192.0.2.1:1', 'localhost.example:1', '127.example:1', '[2001:db8::1]:1', 'localhost', '']) {
      expect(n1.peers.sameHost(other), other).toBe(false);
    }
  });

  test('what is no address is dialled in vain and without a crash', async () => {
    const n1 = await start('n1');
    const n2 = await start('n2');
    n1.peers.dial('not an address');
    n1.peers.dial(n2.address);
    await n1.next('connected', 'n2');
    n1.peers.forget('not an address');
  });
});
