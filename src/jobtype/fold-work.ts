/**
 * FoldWork: one order to a Master, from the blobs that it is about to the blob that comes of it.
 *
 * Outputs are laid down as files, the next one while the Master takes in the one before it, and what the Master writes down
 * is kept on enough disks before anybody hears of it.
 *
 * Invariant: no file of an order outlives it.
 */
import { open, unlink } from 'node:fs/promises';
import { errorText, PolarisError } from '../base/errors.ts';
import { type Handle, sameHandle } from '../base/handle.ts';
import type { LogIndex } from '../base/types.ts';
import type { FoldEnding, FoldOrder, TaskBlobs } from '../daemon/env.ts';
import { writeAll } from '../data/spool.ts';
import type { Output } from '../ranges/types.ts';
import type { MasterOrder, MasterReturn } from './protocol.ts';

/** A place in a job host, which stays as long as somebody sits in it. */
export interface Seat {
  /** The same one for the same process. */
  readonly host: object;
  give(order: MasterOrder): Promise<MasterReturn>;
  leave(): void;
}

/** An instance of a Master, and what it has made so far. */
export interface Session {
  readonly number: number;
  readonly host: object;
  readonly epoch: LogIndex;
  readonly state: Handle | null;
}

export interface FoldWorkOptions {
  readonly order: FoldOrder;
  readonly seat: Seat;
  /** The order was given up. */
  readonly signal: AbortSignal;
  /** A path at which there is nothing yet. */
  readonly file: () => string;
  readonly blobs: TaskBlobs;
}

type Culprit = Extract<FoldEnding, { kind: 'failed' }>['culprit'];

class FoldFailure extends Error {
  readonly culprit: Culprit;

  constructor(culprit: Culprit, error: string) {
    super(error);
    this.culprit = culprit;
  }
}

export function failureOf(thrown: unknown): FoldEnding {
  const culprit = thrown instanceof FoldFailure ? thrown.culprit : 'node';
  return { kind: 'failed', culprit, error: errorText(thrown) };
}

interface Kept {
  readonly handle: Handle | null;
  readonly stamp: LogIndex;
}

/** A file that is on its way. */
type Laying = Promise<string>;

export class FoldWork {
  readonly #options: FoldWorkOptions;

  constructor(options: FoldWorkOptions) {
    this.#options = options;
  }

  /** The former instance, if the order goes on where it stands, or else another one, under this number. */
  async session(former: Session | undefined, number: number): Promise<Session> {
    const { order, seat } = this.#options;
    const { epoch, state } = order;
    if (former?.host === seat.host && former.epoch === epoch && isSame(former.state, state)) return former;
    const begin = (path: string | null) =>
      this.#give({ kind: 'begin', session: number, job: order.job, metadata: order.metadata, state: path });
    if (state === null) await begin(null);
    else await this.#withFile(this.#lay(state), begin);
    return { number, host: seat.host, epoch, state };
  }

  async carryOut({ number: session }: Session): Promise<FoldEnding> {
    const { order } = this.#options;
    if (order.outputs === null) return this.#finish(session);
    await this.#collect(session, order.outputs);
    const path = this.#options.file();
    return this.#withFile(Promise.resolve(path), async () => {
      const kept = await this.#keepMade(path, 'state()', { kind: 'save', session, path });
      return { kind: 'folded', state: kept.handle, stamp: kept.stamp };
    });
  }

  // ---- inside ----

  async #collect(session: number, outputs: readonly Output[]): Promise<void> {
    let next: Laying | null = null;
    try {
      for (const [at, { start, end, handle }] of outputs.entries()) {
        const laid: Laying = next ?? this.#lay(handle);
        next = null;
        await this.#withFile(laid, async (path) => {
          const following = outputs[at + 1];
          if (following !== undefined) next = this.#lay(following.handle);
          // Whoever fails first is heard; the other one must not go unheard by the process.
          next?.catch(() => {});
          await this.#give({ kind: 'collect', session, path, start, end });
        });
      }
    } finally {
      if (next !== null) await (next as Laying).then(unlink).catch(() => {});
    }
  }

  async #finish(session: number): Promise<FoldEnding> {
    const path = this.#options.file();
    return this.#withFile(Promise.resolve(path), async () => {
      const kept = await this.#keepMade(path, 'finish()', { kind: 'finish', session, path });
      return { kind: 'finished', result: kept.handle, stamp: kept.stamp };
    });
  }

  /** What the Master makes of an order as a blob; none where it made nothing. */
  async #keepMade(path: string, who: string, order: MasterOrder): Promise<Kept> {
    const { value } = await this.#give(order);
    return value === true ? this.#keep(path, who) : { handle: null, stamp: 0 };
  }

  async #give(order: MasterOrder): Promise<MasterReturn> {
    if (this.#options.signal.aborted) throw new FoldFailure('node', 'the order was given up');
    const returned = await this.#options.seat.give(order);
    if (returned.error === null) return returned;
    throw new FoldFailure(returned.lost ? 'host' : 'master', whereItFailed(order, returned.error));
  }

  /** Reads what the Master wrote without belief, and keeps it. */
  async #keep(path: string, who: string): Promise<Kept> {
    try {
      return await this.#options.blobs.keep(path, this.#options.signal);
    } catch (thrown) {
      // What no other try would change is the fault of whoever wrote it.
      const isHis = thrown instanceof PolarisError && !thrown.row.retry && thrown.row.status < 500;
      throw new FoldFailure(isHis ? 'master' : 'node', `what ${who} gave could not be kept: ${errorText(thrown)}`);
    }
  }

  /** A blob as a file. */
  async #lay(blob: Handle): Laying {
    const { blobs, signal, file } = this.#options;
    const path = file();
    const handle = await open(path, 'wx', 0o600);
    try {
      for await (const piece of (await blobs.open(blob)).read()) {
        signal.throwIfAborted();
        await writeAll(handle, piece);
      }
      await handle.close();
      return path;
    } catch (thrown) {
      await handle.close();
      await unlink(path);
      throw thrown;
    }
  }

  /** Whatever comes of it, the file goes. One that was to be written may never have been. */
  async #withFile<T>(laying: Laying, use: (path: string) => Promise<T>): Promise<T> {
    const path = await laying;
    try {
      return await use(path);
    } finally {
      await unlink(path).catch(() => {});
    }
  }
}

function isSame(one: Handle | null, other: Handle | null): boolean {
  return one === null || other === null ? one === other : sameHandle(one, other);
}

function whereItFailed(order: MasterOrder, error: string): string {
  switch (order.kind) {
    case 'begin':
      return `it could not begin: ${error}`;
    case 'collect':
      return `collect of the points from ${order.start} to ${order.end}: ${error}`;
    case 'save':
      return `state: ${error}`;
    case 'finish':
      return `finish: ${error}`;
    default:
      return error;
  }
}
