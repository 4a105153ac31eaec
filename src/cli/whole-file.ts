/**
 * A file that is there as a whole or not at all, also after a power cut: written beside its place, synced, then renamed
 * over whatever was there. The former file stays until the new one is whole.
 */
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
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
    throw new PolarisError('FILE_FAILED', `${path} cannot be written: ${errorText(cause)}`, { cause });
  }
}
