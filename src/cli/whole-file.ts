/**
 * A file that is there as a whole or not at all, also after a power cut: written beside its place, synced, then renamed
 * over whatever was there. The former file stays until the new one is whole.
 */
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { errorText, PolarisError } from '../base/errors.ts';
import { syncDirectory } from '../store/mark.ts';

/** Metadata of jobs may name what is nobody else's business. */
const OWNER_ONLY = 0o600;

/** @throws PolarisError FILE_FAILED, and then nothing is left behind. */
export function writeWholeFile(path: string, bytes: Uint8Array): void {
  const target = resolve(path);
  const beside = `${target}.${process.pid}.part`;
  try {
    const descriptor = openSync(beside, 'wx', OWNER_ONLY);
    try {
      writeFileSync(descriptor, bytes);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(beside, target);
    syncDirectory(dirname(target));
  } catch (cause) {
    rmSync(beside, { force: true });
    throw failed(path, cause);
  }
}

/**
 * The same of what comes bit by bit.
 *
 * @throws PolarisError FILE_FAILED, and whatever the source throws; then nothing is left behind.
 */
export async function writeWholeStream(path: string, source: AsyncIterable<Uint8Array>): Promise<void> {
  const target = resolve(path);
  const beside = `${target}.${process.pid}.part`;
  const file = await open(beside, 'wx', OWNER_ONLY).catch((cause: unknown) => Promise.reject(failed(path, cause)));
  try {
    for await (const chunk of source) await writeChunk(path, file, chunk);
    await file.sync().catch((cause: unknown) => Promise.reject(failed(path, cause)));
  } catch (thrown) {
    rmSync(beside, { force: true });
    throw thrown;
  } finally {
    await file.close();
  }
  try {
    renameSync(beside, target);
    syncDirectory(dirname(target));
  } catch (cause) {
    rmSync(beside, { force: true });
    throw failed(path, cause);
  }
}

async function writeChunk(path: string, file: FileHandle, chunk: Uint8Array): Promise<void> {
  try {
    for (let at = 0; at < chunk.length; ) at += (await file.write(chunk, at)).bytesWritten;
  } catch (cause) {
    throw failed(path, cause);
  }
}

function failed(path: string, cause: unknown): PolarisError {
  return new PolarisError('FILE_FAILED', `${path} cannot be written: ${errorText(cause)}`, { cause });
}
