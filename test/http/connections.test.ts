/**
 * Too many connections: the newest is always taken, so that nobody keeps the peers of the cluster out; whoever is busy is
 * left in peace; and whoever has been quiet the longest goes.
 */
import { EventEmitter } from 'node:events';
import type { ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { describe, expect, test } from 'vitest';
import { PolarisError } from '../../src/base/errors.ts';
import { BUSY_CONNECTIONS_MAX, CONNECTIONS_MAX } from '../../src/base/limits.ts';
import { Connections } from '../../src/http/connections.ts';
import { FakeNode, listen, serverOf } from './fake-node.ts';

class FakeSocket extends EventEmitter {
  destroyed = false;
  destroy(): void {
    this.destroyed = true;
    this.emit('close');
  }
}

class FakeResponse extends EventEmitter {
  readonly headers = new Map<string, string>();
  setHeader(name: string, value: string): void {
    this.headers.set(name, value);
  }
}

function open(connections: Connections): FakeSocket {
  const socket = new FakeSocket();
  connections.opened(socket as object as Socket);
  return socket;
}

function request(connections: Connections, socket: FakeSocket): FakeResponse {
  const response = new FakeResponse();
  connections.request(socket as object as Socket, response as object as ServerResponse);
  return response;
}

function openMany(connections: Connections, count: number): readonly FakeSocket[] {
  return Array.from({ length: count }, () => open(connections));
}

describe('when there are as many as there may be', () => {
  test('the longest quiet one goes for the next', () => {
    const connections = new Connections();
    const sockets = openMany(connections, CONNECTIONS_MAX);
    // The first speaks and is answered: it is now the one that was quiet for the shortest time.
    request(connections, sockets[0] as FakeSocket).emit('close');
    const newest = open(connections);
    expect(sockets.flatMap((socket, at) => (socket.destroyed ? [at] : []))).toEqual([1]);
    expect(newest.destroyed).toBe(false);
  });

  test('one with a request under way stays, however long it has been there', () => {
    const connections = new Connections();
    const sockets = openMany(connections, CONNECTIONS_MAX);
    for (const socket of sockets.slice(0, 5)) request(connections, socket);
    openMany(connections, 3);
    expect(sockets.flatMap((socket, at) => (socket.destroyed ? [at] : []))).toEqual([5, 6, 7]);
  });

  test('one that became a peer is counted no more', () => {
    const connections = new Connections();
    const sockets = openMany(connections, CONNECTIONS_MAX);
    connections.left(sockets[0] as object as Socket);
    open(connections);
    expect(sockets.some((socket) => socket.destroyed)).toBe(false);
    open(connections);
    expect(sockets.map((socket) => socket.destroyed).indexOf(true)).toBe(1);
  });

  test('one that has closed makes room for another', () => {
    const connections = new Connections();
    const sockets = openMany(connections, CONNECTIONS_MAX);
    sockets[3]?.destroy();
    open(connections);
    expect(sockets.filter((socket) => socket.destroyed)).toEqual([sockets[3]]);
  });
});

test('a request beyond the busy connections is refused and its connection ends; those that are busy may send more', () => {
  const connections = new Connections();
  const busy = openMany(connections, BUSY_CONNECTIONS_MAX);
  const answers = busy.map((socket) => request(connections, socket));
  const late = open(connections);
  const refused = new FakeResponse();
  expect(() => connections.request(late as object as Socket, refused as object as ServerResponse)).toThrow(
    PolarisError,
  );
  expect(refused.headers.get('connection')).toBe('close');
  request(connections, busy[0] as FakeSocket);
  answers[1]?.emit('close');
  request(connections, late);
});

test('an upgrade that nobody takes is a problem, and so is one to nowhere', async () => {
  const app = serverOf(new FakeNode());
  const port = Number((await listen(app)).split(':')[1]);
  const answer = await new Promise<string>((resolve) => {
    let text = '';
    const socket = connect(port, '127.0.0.1', () => {
      socket.write('GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    });
    socket.setEncoding('utf8').on('data', (chunk) => {
      text += chunk;
    });
    socket.on('close', () => resolve(text));
  });
  expect(answer).toMatch(/^HTTP\/1\.1 404 /);
  expect(answer).toMatch(/content-type: application\/problem\+json/);
  await app.close();
});
