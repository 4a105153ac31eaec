/**
 * A Redis list: plain, or behind a fence that pushes the line and moves the cursor in one script.
 *
 * Invariant: ioredis sends nothing a second time. It would after a lost connection, and a plain list takes every line.
 */
import { Redis } from 'ioredis';
import { SINK_REPLY_MS } from '../../src/base/limits.ts';
import { RedisSink } from '../../src/sinks/redis.ts';
import { fencedPoints } from '../../src/sinks/task.ts';
import type { AppendSink, AppendTask } from './sink.ts';

const PORT_DEFAULT = 6379;
const FENCED = 'fenced-';

/** `redis://HOST:PORT/DB?list=KEY`, with `fenced-` before it for the fence. */
export async function openList(task: AppendTask, address: string): Promise<AppendSink> {
  const fenced = address.startsWith(FENCED);
  const { url, list } = readAddress(fenced ? address.slice(FENCED.length) : address);
  const redis = await connect(url);
  const close = async () => redis.disconnect();
  if (!fenced) {
    return {
      points: task.points(),
      append: async (_point, line) => {
        await redis.rpush(list, line);
      },
      close,
    };
  }
  try {
    const sink = new RedisSink({ redis, job: task.job, command: 'RPUSH', key: list });
    const opened = await sink.open(task, task.epoch);
    return {
      points: fencedPoints(task, opened),
      append: async (point, line) => {
        await opened.push(point, line);
      },
      close,
    };
  } catch (thrown) {
    await close();
    throw thrown;
  }
}

function readAddress(address: string): { readonly url: URL; readonly list: string } {
  const url = new URL(address);
  const list = url.searchParams.get('list');
  if (url.protocol !== 'redis:' || list === null || list === '') {
    throw new Error(`the sink ${address} is not redis://HOST:PORT/DB?list=KEY`);
  }
  return { url, list };
}

async function connect(url: URL): Promise<Redis> {
  // A URL writes an IPv6 address in brackets, a socket takes it bare.
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const port = Number(url.port || PORT_DEFAULT);
  const redis = new Redis({
    host,
    port,
    db: Number(url.pathname.slice(1)),
    lazyConnect: true,
    retryStrategy: () => null,
    connectTimeout: SINK_REPLY_MS,
    commandTimeout: SINK_REPLY_MS,
  });
  // Every command says for itself why it failed.
  redis.on('error', () => {});
  try {
    await redis.connect();
  } catch (thrown) {
    redis.disconnect();
    throw new Error(`Redis at ${host}:${port} cannot be reached`, { cause: thrown });
  }
  return redis;
}
