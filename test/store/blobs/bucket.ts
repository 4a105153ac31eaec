/** A bucket for the tests: a real S3 server on loopback, in a directory that a test can look into and damage. */
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import S3rver from 's3rver';
import { createPrng } from '../../../src/base/prng.ts';
import { openS3Blobs, type S3BlobsOptions } from '../../../src/store/blobs/s3.ts';
import type { BlobHarness } from './conformance.ts';
import { filesIn } from './directory.ts';

export const BUCKET = 'polaris';
const OBJECT = '._S3rver_object';

/** Answers a request in place of the server. False when the server shall. */
export type S3Fault = (request: IncomingMessage, response: ServerResponse) => boolean;

export interface S3Server {
  readonly directory: string;
  readonly endpoint: string;
  /** What the next requests meet; a test sets and resets it. */
  fault: S3Fault | null;
  close(): Promise<void>;
}

/**
 * Requests are served one after the other: S3 makes each of them atomic, and this server, which writes objects in place,
 * would not.
 */
export async function startS3(): Promise<S3Server> {
  const directory = await mkdtemp(join(tmpdir(), 'polaris-s3-'));
  const s3rver = new S3rver({ silent: true, directory, vhostBuckets: false, configureBuckets: [{ name: BUCKET }] });
  await s3rver.configureBuckets();
  const serve = s3rver.callback();
  let before: Promise<unknown> = Promise.resolve();
  const http = createServer((request, response) => {
    if (server.fault?.(request, response) === true) return;
    before = before.then(() => {
      const served = once(response, 'close');
      serve(request, response);
      return served;
    });
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  const address = http.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  const server: S3Server = {
    directory,
    endpoint: `http://127.0.0.1:${address.port}`,
    fault: null,
    close: async () => {
      http.closeAllConnections();
      http.close();
      await once(http, 'close');
      await rm(directory, { recursive: true, force: true });
    },
  };
  return server;
}

/** How to reach the bucket, for `openS3Blobs`. Whoever has to wait does so without a timer. */
export function placeOf(server: S3Server, changes: Partial<S3BlobsOptions> = {}): S3BlobsOptions {
  return {
    endpoint: server.endpoint,
    region: 'us-east-1',
    bucket: BUCKET,
    accessKeyId: 'S3RVER',
    secretAccessKey: 'S3RVER',
    owner: 'n1',
    prng: createPrng(1),
    wait: () => new Promise((resolve) => setImmediate(resolve)),
    ...changes,
  };
}

/** Keys of all objects in the bucket, sorted. */
export async function keysIn(server: S3Server): Promise<string[]> {
  const files = await filesIn(join(server.directory, BUCKET)).catch(() => []);
  return files.flatMap((path) => (path.endsWith(OBJECT) ? [path.slice(0, -OBJECT.length)] : []));
}

let folders = 0;

/** A place of its own in the bucket of one server. */
export function bucketHarness(server: S3Server): BlobHarness {
  folders += 1;
  const prefix = `test-${folders}/`;
  const copies = join(server.directory, BUCKET, prefix, 'copies');
  return {
    open: (owner = 'n1') => openS3Blobs(placeOf(server, { owner, prefix })),
    damage: async (hash, change) => {
      const names = (await readdir(copies)).filter((name) => name.startsWith(hash) && name.endsWith(OBJECT));
      if (names.length !== 1) throw new Error(`blob ${hash} has ${names.length} objects`);
      const path = join(copies, names[0] ?? '');
      await writeFile(path, change(await readFile(path)));
    },
    leftovers: async () => {
      const keys = await keysIn(server);
      return keys.filter((key) => key.startsWith(prefix) && !key.startsWith(`${prefix}copies/`));
    },
    readersHoldOn: false,
    dispose: async () => {},
  };
}
