/**
 * A fenced sink in Redis: the fence and the effect move in one script.
 *
 * The effect of a point is one element of a list or set, or one field of a hash. All keys of a job carry the same hash
 * tag, so that a Redis Cluster keeps them in one slot: give the key of the effects the same tag there, `{JOB}:lines`.
 *
 * A Redis that fails over to a replica may lose the last moments. Fence and effects lose them together, yet Polaris has
 * the points as done: exactly-once is as durable as the Redis that it goes to (`appendfsync always`, `WAIT`).
 *
 * Invariant: a command that ioredis sends again after a lost connection changes nothing the second time.
 */
import { createHash } from 'node:crypto';
import type { Cluster, Redis } from 'ioredis';
import { assert } from '../base/assert.ts';
import { PolarisError } from '../base/errors.ts';
import type { Epoch, JobId, Point, Range } from '../base/types.ts';
import { dropped, notOpened, outOfOrder, staleEpoch } from './fence.ts';
import { DROP_SCRIPT, OPEN_SCRIPT, PUSH_SCRIPT } from './redis-scripts.ts';
import { checkJob, type FenceStore, openTask } from './task.ts';
import type { FencedSink, FencedTask } from './types.ts';

export interface RedisSinkOptions {
  /** Of ioredis. Stays the caller's: it is never closed here. */
  readonly redis: Redis | Cluster;
  readonly job: JobId;
  /** HSET has a field for each point. */
  readonly command: 'RPUSH' | 'SADD' | 'HSET';
  /** Where the effects go. */
  readonly key: string;
  /** Begins the names of the two keys of the fence. @defaultValue 'polaris' */
  readonly prefix?: string;
}

export class RedisSink implements FencedSink<string> {
  readonly #store: FenceStore<string>;

  constructor(options: RedisSinkOptions) {
    checkJob(options.job);
    this.#store = storeOf(options);
  }

  open(range: Range, epoch: Epoch): Promise<FencedTask<string>> {
    return openTask(this.#store, range, epoch);
  }

  drop(): Promise<void> {
    return this.#store.drop();
  }
}

function storeOf({ redis, job, command, key, prefix = 'polaris' }: RedisSinkOptions): FenceStore<string> {
  const keys = [`${prefix}:{${job}}:ends`, `${prefix}:{${job}}:fence`];
  return {
    async open(range: Range, epoch: Epoch) {
      const [word, ...numbers] = await run(redis, OPEN, keys, [range.start, range.end, epoch]);
      if (word !== 'done') throw refusal(word, numbers, epoch);
      const points = numbers.map(Number);
      assert(points.length % 2 === 0, 'the script answers with pairs');
      return Array.from({ length: points.length / 2 }, (_, at) => {
        return { start: points[2 * at] ?? 0, end: points[2 * at + 1] ?? 0 };
      });
    },
    async push(first: Point, values: readonly string[], epoch: Epoch) {
      const [word, ...numbers] = await run(redis, PUSH, [...keys, key], [command, first, epoch, ...values]);
      if (word !== 'pushed') throw refusal(word, numbers, epoch);
      return Number(numbers[0]);
    },
    async drop() {
      await run(redis, DROP, keys, []);
    },
  };
}

interface Script {
  readonly text: string;
  readonly sha: string;
}

const OPEN = script(OPEN_SCRIPT);
const PUSH = script(PUSH_SCRIPT);
const DROP = script(DROP_SCRIPT);

function script(text: string): Script {
  return { text, sha: createHash('sha1').update(text).digest('hex') };
}

/** Numbers travel as their decimal text, which JavaScript writes in full for every safe integer. */
async function run(
  redis: Redis | Cluster,
  { text, sha }: Script,
  keys: readonly string[],
  values: readonly (string | number)[],
): Promise<readonly string[]> {
  const words = [...keys, ...values.map(String)];
  let reply: unknown;
  try {
    reply = await redis.evalsha(sha, keys.length, ...words);
  } catch (thrown) {
    // A Redis that was started anew, or never saw it.
    if (!(thrown instanceof Error) || !thrown.message.startsWith('NOSCRIPT')) throw thrown;
    reply = await redis.eval(text, keys.length, ...words);
  }
  assert(Array.isArray(reply) && reply.every((word) => typeof word === 'string'), 'a script answers with strings');
  return reply;
}

function refusal(word: string | undefined, numbers: readonly string[], epoch: Epoch): PolarisError {
  const [one = 0, two = 0] = numbers.map(Number);
  switch (word) {
    case 'stale':
      return staleEpoch(epoch, one);
    case 'dropped':
      return dropped(epoch, one);
    case 'closed':
      return notOpened(one, epoch);
    case 'order':
      return outOfOrder(two, one);
    default:
      return new PolarisError('INTERNAL', `the script of the sink answered ${word}`);
  }
}
