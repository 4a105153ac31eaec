/**
 * Following a result: its rows in range order, as far as there is no gap, and more of them whenever more is committed.
 *
 * Each follower looks at the table of this very node a few times a second, through the turnstile, and is given nothing
 * faster than it reads. While it waits its connection is not taken for dead: an Arrow stream gets an empty batch now and
 * then, and other formats, which have nothing like it, are left to their silence.
 *
 * Invariants: so many followers at a time, each of them counted out once · an answer that ends in order has every row of
 * the points that were asked for.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { PolarisError } from '../base/errors.ts';
import type { BlobHash } from '../base/handle.ts';
import {
  RESULT_BEAT_MS,
  RESULT_LEADERLESS_MS,
  RESULT_LOOK_MS,
  RESULT_WAIT_MS,
  RESULTS_FOLLOWED_MAX,
} from '../base/result-limits.ts';
import type { JobId, Point, Range } from '../base/types.ts';
import type { Part } from './dataset-bytes.ts';
import type { DatasetContext } from './datasets.ts';
import { goneWith } from './patience.ts';
import { type FollowLook, followLook } from './result-look.ts';
import type { DataPlane } from './route.ts';
import { sendBytes } from './send-bytes.ts';
import { readTable } from './settle.ts';

export interface FollowWish {
  readonly id: JobId;
  /** Null for all points. */
  readonly range: Range | null;
}

export class Followers {
  readonly #context: DatasetContext;
  #count = 0;

  constructor(context: DatasetContext) {
    this.#context = context;
  }

  /** @throws PolarisError OVERLOADED, NO_RESULT, TIMED_OUT when there is nothing yet */
  async answer(request: FastifyRequest, reply: FastifyReply, wish: FollowWish): Promise<FastifyReply> {
    if (this.#count >= RESULTS_FOLLOWED_MAX) {
      throw new PolarisError('OVERLOADED', `${RESULTS_FOLLOWED_MAX} results are followed on this node; ask another`);
    }
    const { signal: gone } = goneWith(reply);
    if (gone.aborted) throw new PolarisError('OUTCOME_UNKNOWN', 'the asker has gone');
    this.#count++;
    gone.addEventListener('abort', () => this.#count--, { once: true });
    const parts = this.#parts(wish, gone);
    const first = await firstOf(wish, parts);
    const { giveOut } = await import('./dataset-bytes.ts');
    const { data } = this.#context;
    const { contentType, open } = giveOut(data, { first, rest: parts, beats: true }, request.headers.accept);
    neverSilent(request, gone);
    reply.type(contentType).header('vary', 'accept').header('polaris-job', wish.id);
    return sendBytes(data, reply, [], open);
  }

  /** Blobs as they are committed; null when there was none for a while. @throws PolarisError when no more can come */
  async *#parts({ id, range }: FollowWish, gone: AbortSignal): AsyncGenerator<Part | null> {
    const { data, api } = this.#context;
    const held = new Held(data.depot, gone);
    let reached: Point | null = null;
    let [spokeAt, ledAt] = [performance.now(), performance.now()];
    for (;;) {
      const look: FollowLook = await this.#look(id, range, reached);
      if (look.outputs.length > 0) held.replace(look.outputs.map(({ handle }) => handle.hash));
      for (const { handle } of look.outputs) yield handle;
      if (look.isOver) return;
      if (look.broken !== null) throw new PolarisError('NO_RESULT', `no more comes of job ${id}: ${look.broken}`);
      const now = performance.now();
      reached = look.reached;
      if (api.leads() || api.leaderAddress() !== null) ledAt = now;
      if (now - ledAt >= RESULT_LEADERLESS_MS) throw new PolarisError('NO_LEADER');
      // Behind what came too, for a format that gathers rows must not keep them now.
      if (look.outputs.length > 0 || now - spokeAt >= RESULT_BEAT_MS) {
        yield null;
        spokeAt = now;
      }
      await sleep(RESULT_LOOK_MS, undefined, { signal: gone });
    }
  }

  #look(id: JobId, range: Range | null, reached: Point | null): Promise<FollowLook> {
    const { turnstile, api } = this.#context;
    return turnstile.run(() => readTable(api, 'local', (table) => followLook(table.job(id), range, reached)));
  }
}

/** What one follower is being given: kept until there is more, since by then it has been read, or until the reader goes. */
class Held {
  readonly #depot: DataPlane['depot'];
  readonly #gone: AbortSignal;
  #release: (() => void) | null = null;

  constructor(depot: DataPlane['depot'], gone: AbortSignal) {
    this.#depot = depot;
    this.#gone = gone;
    gone.addEventListener('abort', () => this.#letGo(), { once: true });
  }

  replace(hashes: readonly BlobHash[]): void {
    this.#letGo();
    this.#gone.throwIfAborted();
    this.#release = this.#depot.retain(hashes);
  }

  #letGo(): void {
    this.#release?.();
    this.#release = null;
  }
}

/** Until there is one nobody knows the columns, and so no answer can begin. */
async function firstOf({ id }: FollowWish, parts: AsyncGenerator<Part | null>): Promise<Part> {
  let waited: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    const error = new PolarisError('TIMED_OUT', `job ${id} has committed no rows yet; ask again`);
    waited = setTimeout(() => reject(error), RESULT_WAIT_MS);
  });
  try {
    for (;;) {
      const { done, value } = await Promise.race([parts.next(), late]);
      if (done === true)
        throw new PolarisError('NO_RESULT', `the points of job ${id} that were asked for emitted nothing`);
      if (value !== null) return value;
    }
  } finally {
    clearTimeout(waited);
  }
}

/** A connection without a byte is closed after a while, but who follows may have long to wait. A dead one is found by TCP. */
export function neverSilent({ raw }: FastifyRequest, gone: AbortSignal): void {
  const { socket } = raw;
  const silenceMs = socket.timeout ?? 0;
  socket.setTimeout(0);
  socket.setKeepAlive(true, RESULT_BEAT_MS);
  gone.addEventListener('abort', () => socket.setTimeout(silenceMs), { once: true });
}
