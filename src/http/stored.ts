/**
 * Stored: what others say of bytes that lie in the cluster already, held against the bytes.
 *
 * Most handles are made here, of what was just stored. Two come from outside: whoever gives stored bytes one more name says
 * which, and a runner hands in its ticket. The log would believe either for ever: a blob that no node has is fetched by
 * every node in vain and lets no member go, and rows that are not there make points that no task can be given. So the file
 * is opened, which reads its footer and no row; that its bytes are those of the hash is seen to by every read.
 *
 * Loaded with the first of them, since it knows Arrow.
 */
import { PolarisError } from '../base/errors.ts';
import type { Handle } from '../base/handle.ts';
import type { LogIndex } from '../base/types.ts';
import type { Depot } from '../data/depot/depot.ts';
import { schemaHash } from '../data/schema.ts';
import { openFile } from './dataset-bytes.ts';

/** @throws PolarisError BLOB_MISSING, BAD_ARROW for what is no Arrow file, BAD_REQUEST naming what is not so */
export async function checkHandle(depot: Pick<Depot, 'open'>, { hash, bytes, rows, schema }: Handle): Promise<void> {
  const blob = await depot.open(hash);
  if (blob.bytes !== bytes) throw notSo(hash, `${blob.bytes} bytes, and not ${bytes}`);
  const file = await openFile(depot, { hash });
  if (file.rows !== rows) throw notSo(hash, `${file.rows} rows, and not ${rows}`);
  const found = schemaHash(file.schema);
  if (found !== schema) throw notSo(hash, `the schema ${found}, and not ${schema}`);
}

/** With the stamp by which the log is to judge it. @throws PolarisError as `checkHandle`, and TOO_FEW_COPIES */
export async function checkStored(
  depot: Pick<Depot, 'open' | 'isStamped'>,
  { handle, stamp }: { readonly handle: Handle; readonly stamp: LogIndex },
): Promise<void> {
  await checkHandle(depot, handle);
  if (!(await depot.isStamped(handle.hash, stamp))) throw notSo(handle.hash, `no copy that was stamped at ${stamp}`);
}

function notSo(hash: string, what: string): PolarisError {
  return new PolarisError('BAD_REQUEST', `blob ${hash} has ${what}`);
}
