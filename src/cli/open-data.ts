/**
 * Opens what a node keeps of batches: the blob store of its configuration, and depot and keeper over it.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { NodeProcessConfig } from '../base/config.ts';
import { PolarisError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { builtPath } from '../base/package.ts';
import type { NodeApi } from '../daemon/api.ts';
import type { TaskBlobs } from '../daemon/env.ts';
import { realClock, realPrng } from '../daemon/real.ts';
import { Depot } from '../data/depot/depot.ts';
import { Guest } from '../data/depot/guest.ts';
import { Keeper } from '../data/depot/keeper.ts';
import { type BlobPeers, createBlobPeers } from '../data/depot/peers.ts';
import { createTaskBlobs } from '../data/task-blobs.ts';
import type { DataPlane } from '../http/route.ts';
import { recordsDirOf } from '../jobtype/records.ts';
import { QueryDesk } from '../query/desk.ts';
import { PieceCache } from '../store/blobs/cache.ts';
import { openFileBlobs } from '../store/blobs/files.ts';
import { MemoryBlobs, openMemoryBlobs } from '../store/blobs/memory.ts';
import { openS3Blobs } from '../store/blobs/s3.ts';
import type { BlobStore } from '../store/blobs/types.ts';

const BYTES_PER_MIB = 1024 * 1024;
const ENGINE_ENTRY = builtPath('src/query/engine.js');

/** What a node has of batches, whatever its role. */
export interface NodeData extends DataPlane {
  readonly queries: QueryDesk;
  /** For the job code that runs here. */
  readonly tasks: TaskBlobs;
  start(): void;
  stop(): Promise<void>;
}

export interface OpenDataOptions {
  readonly config: NodeProcessConfig;
  readonly log: Logger;
  /** The node is made later. */
  readonly api: () => NodeApi;
}

/** What both roles are made of. */
interface Parts extends OpenDataOptions {
  readonly peers: BlobPeers;
  readonly cache: PieceCache;
}

/** @throws PolarisError BLOB_STORE_FAILED, BLOB_STORE_FULL, USAGE */
export async function openNodeData(options: OpenDataOptions): Promise<NodeData> {
  const { config, log, api } = options;
  const peers = createBlobPeers(() => api().status().id);
  const cache = new PieceCache({ bytesMax: config.cacheMb * BYTES_PER_MIB });
  const parts = { ...options, peers, cache };
  const { depot, copies } = config.role === 'worker' ? await openGuest(parts) : await openCopies(parts);
  const spoolDir = emptyDirectory(join(config.dataDir, 'spool'));
  const recordsDir = recordsDirOf(config.dataDir);
  const queries = new QueryDesk({ depot, spoolDir, recordsDir, entry: ENGINE_ENTRY, log });
  return {
    ...{ depot, copies, spoolDir, cache, queries, tasks: createTaskBlobs(depot) },
    start: () => copies?.keeper.start(),
    stop: async () => {
      await queries.stop();
      await copies?.keeper.stop();
      peers.close();
    },
  };
}

async function openCopies({ config, log, api, peers, cache }: Parts): Promise<Pick<NodeData, 'depot' | 'copies'>> {
  const { replicas, blobs } = config;
  const store = await openBlobs(config);
  const late: Pick<NodeApi, 'id' | 'status' | 'read' | 'leads' | 'leaderAddress' | 'changeData'> = {
    id: config.id,
    status: () => api().status(),
    read: (consistency, look, done) => api().read(consistency, look, done),
    leads: () => api().leads(),
    leaderAddress: () => api().leaderAddress(),
    changeData: (change, done) => api().changeData(change, done),
  };
  const depot = new Depot({ api: late, store, peers, cache, log, replicas, place: blobs.kind });
  const keeper = new Keeper({ api: late, store, depot, peers, clock: realClock, log });
  return { depot, copies: { store, keeper } };
}

/** For a worker that votes for nothing: it has no table that would tell it what is garbage, so others keep for it. */
async function openGuest({ config, log, api, peers, cache }: Parts): Promise<Pick<NodeData, 'depot' | 'copies'>> {
  const place = config.blobs.kind;
  // What all nodes share is at hand here, too; else there is nothing, and every read goes to a voter.
  const store = place === 'local' ? openMemoryBlobs(new MemoryBlobs()) : await openBlobs(config);
  const late: Pick<NodeApi, 'id' | 'status' | 'read'> = {
    id: config.id,
    status: () => api().status(),
    read: (consistency, look, done) => api().read(consistency, look, done),
  };
  const depot = new Depot({ api: late, store, peers, cache, log, replicas: null, place });
  const voters = () =>
    api()
      .status()
      .members.flatMap(({ role, address }) => (role === 'learner' ? [] : [address]));
  return { depot: new Guest({ depot, peers, voters }), copies: null };
}

/** What a former life left there belongs to nobody. */
function emptyDirectory(path: string): string {
  rmSync(path, { recursive: true, force: true });
  mkdirSync(path, { recursive: true, mode: 0o700 });
  return path;
}

function openBlobs({ id, dataDir, blobs }: NodeProcessConfig): Promise<BlobStore> {
  switch (blobs.kind) {
    case 'local':
      return openFileBlobs(join(dataDir, 'blobs'), { owner: id });
    case 'directory':
      return openFileBlobs(blobs.path, { owner: id });
    case 's3':
      return openS3Blobs({ ...s3Account(), owner: id, bucket: blobs.bucket, prefix: blobs.prefix });
  }
}

/** Keys have no place on a command line: they come from the environment, under the names that all tools for S3 know. */
function s3Account() {
  const read = (name: string, otherwise?: string): string => {
    const value = process.env[name] || otherwise;
    if (value === undefined) throw new PolarisError('USAGE', `--blobs s3://… needs ${name} in the environment`);
    return value;
  };
  const region = read('AWS_REGION', 'us-east-1');
  return {
    region,
    prng: realPrng,
    endpoint: read('AWS_ENDPOINT_URL', `https://s3.${region}.amazonaws.com`),
    accessKeyId: read('AWS_ACCESS_KEY_ID'),
    secretAccessKey: read('AWS_SECRET_ACCESS_KEY'),
  };
}
