/**
 * Patience: a step that another try may mend is tried again, after twice as long each time, for as long as it is wanted. A
 * node that is away for a while is nobody's failure, and the code of a task must not be charged for it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { PolarisError } from '../base/errors.ts';
import type { BlobHash } from '../base/handle.ts';
import { KEEP_RETRY_MS_MAX, KEEP_RETRY_MS_MIN } from '../base/limits.ts';
import type { ByteRange } from '../store/blobs/types.ts';
import type { Depot, OpenBlob } from './depot/depot.ts';

/** @throws what no other try would change, and the reason of the signal. */
export async function patiently<T>(signal: AbortSignal, step: () => Promise<T>): Promise<T> {
  for (let waitMs = KEEP_RETRY_MS_MIN; ; waitMs = Math.min(2 * waitMs, KEEP_RETRY_MS_MAX)) {
    try {
      return await step();
    } catch (thrown) {
      if (signal.aborted || !(thrown instanceof PolarisError && thrown.row.retry)) throw thrown;
    }
    await sleep(waitMs, undefined, { signal });
  }
}

/** A blob that is read on where it stopped, when whoever has it can be reached again. */
export async function openPatiently(
  depot: Pick<Depot, 'open'>,
  hash: BlobHash,
  signal: AbortSignal,
): Promise<OpenBlob> {
  const blob = await patiently(signal, () => depot.open(hash));
  return { bytes: blob.bytes, read: (range = { start: 0, end: blob.bytes }) => readOn(blob, range, signal) };
}

async function* readOn(blob: OpenBlob, { start, end }: ByteRange, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  let position = start;
  let source: AsyncIterator<Uint8Array> | null = null;
  const step = async (): Promise<IteratorResult<Uint8Array>> => {
    source ??= blob.read({ start: position, end })[Symbol.asyncIterator]();
    try {
      return await source.next();
    } catch (thrown) {
      source = null;
      throw thrown;
    }
  };
  try {
    for (;;) {
      const { value, done } = await patiently(signal, step);
      if (done === true) return;
      position += value.length;
      yield value;
    }
  } finally {
    await (source as AsyncIterator<Uint8Array> | null)?.return?.();
  }
}
