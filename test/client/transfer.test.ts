/** Transfers that break, stand still or are slow: what is short is an error, and nothing piles up in the client. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { tableFromArrays, tableToIPC } from 'apache-arrow';
import { afterEach, describe, expect, test } from 'vitest';
import { PolarisClient } from '../../src/client/client.ts';
import { bytesOf } from '../../src/data/sources.ts';

const PIECE = new Uint8Array(65_536);
/** 30 MiB. */
const PIECES = 480;
/** What two sockets, their streams and the fetch between them may hold; a client that gathers holds all 480. */
const HELD_MAX = 200;

const ARROW = tableToIPC(tableFromArrays({ id: Int32Array.from({ length: 100 }, (_, at) => at) }), 'stream');
const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

/** A client of one node that answers as it is told. */
async function clientOf(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<PolarisClient> {
  const server = createServer(answer);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closing.push(() => {
    server.close();
    server.closeAllConnections();
  });
  return new PolarisClient({ urls: [`http://127.0.0.1:${(server.address() as AddressInfo).port}`] });
}

function begin(response: ServerResponse, rows = 100): void {
  const type = 'application/vnd.apache.arrow.stream';
  response.writeHead(200, { etag: '"7"', 'polaris-rows': String(rows), 'content-type': type });
}

describe('a body that breaks off', () => {
  const breaking = (bytes: Uint8Array) => (_request: IncomingMessage, response: ServerResponse) => {
    begin(response);
    response.write(bytes, () => response.destroy());
  };

  test('is an error that says where, after whatever came', async () => {
    const client = await clientOf(breaking(ARROW.subarray(0, 300)));
    const { body, version, rows } = await client.datasets.get('a');
    expect([version, rows]).toEqual([7, 100]);
    let bytes = 0;
    const reading = (async () => {
      for await (const chunk of body) bytes += chunk.length;
    })();
    await expect(reading).rejects.toMatchObject({
      code: 'TRANSFER_BROKEN',
      detail: expect.stringContaining('300 bytes'),
    });
    expect(bytes).toBe(300);
  });

  test('ends a stream of batches with that error, also where all rows had come', async () => {
    const client = await clientOf(breaking(ARROW.subarray(0, ARROW.length - 8)));
    const reading = (async () => {
      for await (const batch of client.loadStream('a')) expect(batch.numRows).toBe(100);
    })();
    await expect(reading).rejects.toMatchObject({ code: 'TRANSFER_BROKEN' });
  });

  test('is asked for again where nobody has seen any of it', async () => {
    let asked = 0;
    const client = await clientOf((request, response) => {
      asked += 1;
      if (asked < 3) return breaking(ARROW.subarray(0, 300))(request, response);
      begin(response);
      response.end(ARROW);
    });
    expect((await client.load('a')).numRows).toBe(100);
    expect(asked).toBe(3);
  });
});

test('fewer rows than were promised are an error, though the stream is whole', async () => {
  const client = await clientOf((_request, response) => {
    begin(response, 101);
    response.end(ARROW);
  });
  await expect(client.load('a')).rejects.toMatchObject({
    ...{ code: 'TRANSFER_BROKEN', detail: '"a" has 101 rows, and 100 came' },
  });
});

test('an answer that is no dataset is a fault, not an empty one', async () => {
  const client = await clientOf((_request, response) => response.end('hello'));
  await expect(client.datasets.get('a')).rejects.toMatchObject({ code: 'INTERNAL' });
});

test('a node that takes a body and says nothing is given up in time', async () => {
  const server = createServer((request) => request.resume()).listen(0, '127.0.0.1');
  await once(server, 'listening');
  closing.push(() => {
    server.close();
    server.closeAllConnections();
  });
  const client = new PolarisClient({
    ...{ urls: [`http://127.0.0.1:${(server.address() as AddressInfo).port}`], timeoutMs: 300 },
  });
  const source = Readable.from([PIECE]);
  await expect(client.datasets.put('a', source)).rejects.toMatchObject({
    ...{ code: 'TIMED_OUT', detail: expect.stringContaining('read once only') },
  });
});

describe('30 MiB', () => {
  test('on their way to a reader who takes his time wait at the node', async () => {
    let made = 0;
    const client = await clientOf((_request, response) => {
      begin(response);
      const pieces = function* () {
        for (; made < PIECES; made++) yield PIECE;
      };
      pipeline(Readable.from(pieces(), { highWaterMark: 1 }), response).catch(() => {});
    });
    const { body } = await client.datasets.get('a');
    let taken = 0;
    let held = 0;
    for await (const chunk of body) {
      taken += chunk.length;
      // Whatever moves by itself does so between two turns of the loop.
      await new Promise((resolve) => setImmediate(resolve));
      held = Math.max(held, made - Math.floor(taken / PIECE.length));
    }
    expect(taken).toBe(PIECES * PIECE.length);
    expect(held).toBeLessThan(HELD_MAX);
  });

  test('on their way to a node that takes its time wait in their source', async () => {
    let made = 0;
    let taken = 0;
    let held = 0;
    const client = await clientOf(async (request, response) => {
      for await (const chunk of request) {
        taken += chunk.length;
        await new Promise((resolve) => setImmediate(resolve));
        held = Math.max(held, made - Math.floor(taken / PIECE.length));
      }
      response.end('{"version":1}');
    });
    const source = async function* () {
      for (made = 0; made < PIECES; made++) yield PIECE;
    };
    expect(await client.datasets.put('a', source)).toEqual({ version: 1 });
    expect(taken).toBe(PIECES * PIECE.length);
    expect(held).toBeLessThan(HELD_MAX);
  });

  test('that are not read to their end let the node go', async () => {
    let release = (): void => {};
    const gone = new Promise<void>((resolve) => {
      release = resolve;
    });
    const client = await clientOf((_request, response) => {
      begin(response);
      response.once('close', () => release());
      const endless = function* () {
        for (;;) yield PIECE;
      };
      pipeline(Readable.from(endless()), response).catch(() => {});
    });
    const { cancel } = await client.datasets.get('a');
    await cancel();
    await gone;
  });
});

test('bytes of a whole body are those that were sent', async () => {
  const client = await clientOf((_request, response) => {
    begin(response);
    response.end(ARROW);
  });
  const { body } = await client.datasets.get('a');
  expect(Buffer.from(await bytesOf(body)).equals(ARROW)).toBe(true);
});
