/**
 * Spool files: where the batches of a running task lie between its thread and its node.
 *
 * Bytes of batches travel as files, and only words about them as messages. The channel between a node and its job hosts
 * carries deadlines and releases for every task of the job; a megabyte in it would stand in front of them. A file is written
 * by one thread, read by another, and mostly never leaves the page cache.
 *
 * Each attempt has a folder of its own, below one that a starting node empties. Whoever is told of a file is told its number:
 * no path ever crosses between job code and node.
 *
 * Invariant: when the end of an attempt has been told, its folder goes.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Epoch } from '../base/types.ts';

/** The folder of a node, without what a former life left there. */
export function emptySpool(dataDir: string): string {
  const spoolDir = join(dataDir, 'tasks');
  rmSync(spoolDir, { recursive: true, force: true });
  mkdirSync(spoolDir, { recursive: true, mode: 0o700 });
  return spoolDir;
}

/** Of one attempt. */
export function spoolOf(spoolDir: string, epoch: Epoch): string {
  return join(spoolDir, String(epoch));
}

/** What points emitted, as an Arrow file. Written by the thread. */
export function segmentFile(spool: string, segment: number): string {
  return join(spool, `segment-${segment}`);
}

/** What stands behind a stage, as an Arrow file. Written by the thread. */
export function checkpointFile(spool: string, number: number): string {
  return join(spool, `checkpoint-${number}`);
}

/** A part of an Arrow stream, cut anywhere. Written by the node. */
export function pieceFile(spool: string, reading: number, piece: number): string {
  return join(spool, `reading-${reading}-${piece}`);
}
