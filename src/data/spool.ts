/**
 * Spool: a body that has to be known to its end before it can be read, on disk.
 *
 * Arrow files and Parquet keep at their end where everything lies. They are written to a file that the caller names,
 * up to a limit, and read from there by ranges. The file is no data of ours: it is not synced, and removed afterwards.
 */
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { PolarisError } from '../base/errors.ts';
import type { ByteSource, RangeRead } from './sources.ts';

export interface Spool extends AsyncDisposable {
  readonly bytes: number;
  readonly read: RangeRead;
}

const READ_BYTES = 1024 * 1024;

/** The file must not exist: a name that somebody else prepared is never followed. */
export async function spool(source: ByteSource, path: string, bytesMax: number): Promise<Spool> {
  const file = await open(path, 'wx+', 0o600);
  const remove = async () => {
    await file.close();
    await unlink(path);
  };
  try {
    let bytes = 0;
    for await (const piece of source) {
      bytes += piece.byteLength;
      if (bytes > bytesMax) throw new PolarisError('BODY_TOO_LARGE', `The body has more than ${bytesMax} bytes.`);
      await writeAll(file, piece);
    }
    return { bytes, read: rangesOf(file), [Symbol.asyncDispose]: remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

export async function writeAll(file: FileHandle, piece: Uint8Array): Promise<void> {
  let written = 0;
  while (written < piece.byteLength) written += (await file.write(piece, written)).bytesWritten;
}

/** Any bytes of a file that stays open meanwhile. */
export function rangesOf(file: FileHandle): RangeRead {
  return async function* read(start, end) {
    for (let at = start; at < end; ) {
      // Memory of its own each time, for what was given may still be in use.
      const piece = Buffer.allocUnsafeSlow(Math.min(READ_BYTES, end - at));
      const { bytesRead } = await file.read(piece, 0, piece.byteLength, at);
      if (bytesRead === 0) return;
      yield piece.subarray(0, bytesRead);
      at += bytesRead;
    }
  };
}
