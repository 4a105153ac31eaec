/**
 * Failures of a file system, in the words of the table of errors. A blob store never leaves anybody in doubt, as a failed
 * write to the log does: what was not published has no name, so the process lives on and the caller may try again.
 */
import { errorText, PolarisError } from '../../base/errors.ts';

export function codeOf(thrown: unknown): string {
  return thrown instanceof Error && 'code' in thrown ? String(thrown.code) : '';
}

/** The file is not there, or a folder on the way to it. */
export function isGone(thrown: unknown): boolean {
  return codeOf(thrown) === 'ENOENT';
}

/** @param doing what was tried: "reading x". */
export function fileFailure(doing: string, cause: unknown): PolarisError {
  if (cause instanceof PolarisError) return cause;
  const isFull = codeOf(cause) === 'ENOSPC' || codeOf(cause) === 'EDQUOT';
  const code = isFull ? 'BLOB_STORE_FULL' : 'BLOB_STORE_FAILED';
  return new PolarisError(code, `${doing} failed: ${errorText(cause)}`, { cause });
}

/** @returns false when what it was about is not there. */
export async function orGone(doing: string, step: Promise<void>): Promise<boolean> {
  try {
    await step;
    return true;
  } catch (cause) {
    if (isGone(cause)) return false;
    throw fileFailure(doing, cause);
  }
}
