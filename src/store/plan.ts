/**
 * Plan: what one StoreBatch changes, cell by cell, and where the log stands after it.
 *
 * LevelDB has no atomic "delete this range", so the store knows its own bounds and names every cell that goes. Pure:
 * both stores carry out the same plan, and differ only in how a list of changes becomes durable.
 *
 * Invariants: entries first..last are on disk without a gap · first <= snapshotIndex + 1 <= last + 1.
 */
import { assert, must } from '../base/assert.ts';
import { openRecord } from '../base/record.ts';
import type { LogIndex, Term } from '../base/types.ts';
import type { Entry, HardState } from '../raft/types.ts';
import * as cells from './cells.ts';
import type { Mark } from './contents.ts';
import type { StoreBatch, StoreContents } from './types.ts';

/** Puts the value under the key; null deletes the key. */
export interface Change {
  readonly key: string;
  readonly value: Uint8Array | null;
}

/** Where the log and the HardState on disk stand. The log is empty when `last` is `first - 1`; `last` is then the snapshot's index, or 0. */
export interface LogBounds {
  readonly first: LogIndex;
  readonly last: LogIndex;
  /** 0 when the log is empty and there is no snapshot. */
  readonly lastTerm: Term;
  readonly snapshotIndex: LogIndex;
  /** Of the HardState; 0 while there is none. */
  readonly savedTerm: Term;
  /** Whether that state holds a vote. */
  readonly voted: boolean;
}

export interface Plan {
  readonly changes: readonly Change[];
  readonly bounds: LogBounds;
  /** Entries that were on disk are deleted from the end, or overwritten. */
  readonly truncates: boolean;
}

export function boundsOf(contents: Pick<StoreContents, 'snapshot' | 'entries' | 'hardState'>): LogBounds {
  const snapshotIndex = contents.snapshot?.meta.index ?? 0;
  const snapshotTerm = contents.snapshot?.meta.term ?? 0;
  const first = contents.entries[0]?.index ?? snapshotIndex + 1;
  const last = contents.entries.at(-1);
  return {
    first,
    last: last?.index ?? snapshotIndex,
    lastTerm: last?.term ?? snapshotTerm,
    snapshotIndex,
    ...ballotOf(contents.hardState),
  };
}

function ballotOf(hardState: HardState | null): Pick<LogBounds, 'savedTerm' | 'voted'> {
  return { savedTerm: hardState?.term ?? 0, voted: hardState !== null && hardState.vote !== null };
}

/** What is noted beside the log once a batch is synced. */
export function markOf({ last, lastTerm, savedTerm, voted }: LogBounds): Mark {
  return { index: last, term: lastTerm, savedTerm, voted };
}

export function planBatch(before: LogBounds, batch: StoreBatch): Plan {
  const changes: Change[] = [];
  let truncates = false;
  let bounds = before;
  planMeta(batch, changes);
  const { snapshot } = batch;
  if (snapshot) changes.push({ key: cells.SNAPSHOT_KEY, value: cells.encodeSnapshot(snapshot) });
  if (snapshot && beginsLog(before, batch)) {
    truncates = before.last > 0;
    planDeletes(before.first, before.last, changes);
    const { index, term } = snapshot.meta;
    bounds = { ...bounds, first: index + 1, last: index, lastTerm: term, snapshotIndex: index };
  }
  if (batch.entries !== undefined && batch.entries.length > 0) {
    const first = must(batch.entries[0], 'a batch of entries has a first one').index;
    truncates ||= first <= bounds.last;
    bounds = planEntries(bounds, batch.entries, changes);
  }
  if (snapshot) {
    assert(snapshot.meta.index >= bounds.snapshotIndex, 'snapshots only move on');
    bounds = { ...bounds, snapshotIndex: snapshot.meta.index };
  }
  if (batch.hardState) bounds = { ...bounds, ...ballotOf(batch.hardState) };
  if (batch.keepFrom !== undefined) bounds = planCompaction(bounds, batch.keepFrom, changes);
  assert(bounds.first <= bounds.snapshotIndex + 1, 'the log on disk joins its snapshot');
  assert(bounds.snapshotIndex <= bounds.last, 'a snapshot of our own does not pass the log on disk');
  return { changes, bounds, truncates };
}

function planMeta(batch: StoreBatch, changes: Change[]): void {
  if (batch.formation !== undefined) {
    changes.push({ key: cells.FORMATION_KEY, value: cells.encodeFormation(batch.formation) });
  }
  if (batch.clusterId !== undefined) {
    changes.push({ key: cells.CLUSTER_KEY, value: cells.encodeCluster(batch.clusterId) });
  }
  if (batch.hardState) changes.push({ key: cells.HARD_STATE_KEY, value: cells.encodeHardState(batch.hardState) });
}

/**
 * Whether the log starts anew behind the snapshot of this batch: a leader's does so, and the very first one of a founding
 * member, which stands where no entry ever was.
 */
function beginsLog(before: LogBounds, batch: StoreBatch): boolean {
  if (batch.resetLog === true) return true;
  const firstWritten = batch.entries?.[0]?.index ?? Number.POSITIVE_INFINITY;
  return before.last === 0 && firstWritten > (batch.snapshot?.meta.index ?? 0);
}

function planEntries(before: LogBounds, entries: readonly Entry[], changes: Change[]): LogBounds {
  const first = must(entries[0], 'a batch of entries has a first one');
  const last = must(entries.at(-1), 'a batch of entries has a last one');
  assert(first.index >= before.first, 'compacted entries are never written again');
  assert(first.index <= before.last + 1, 'the log on disk has no gap');
  let expected = first.index;
  for (const entry of entries) {
    const opened = openRecord(entry.record);
    assert(entry.index === expected, 'entries of a batch are contiguous');
    assert(opened.index === entry.index && opened.term === entry.term, 'a record belongs to its entry');
    changes.push({ key: cells.logKey(entry.index), value: entry.record });
    expected += 1;
  }
  planDeletes(last.index + 1, before.last, changes);
  return { ...before, last: last.index, lastTerm: last.term };
}

function planCompaction(before: LogBounds, keepFrom: LogIndex, changes: Change[]): LogBounds {
  if (keepFrom <= before.first) return before;
  assert(keepFrom <= before.snapshotIndex + 1, 'only entries that the snapshot holds are compacted');
  planDeletes(before.first, keepFrom - 1, changes);
  return { ...before, first: keepFrom };
}

function planDeletes(first: LogIndex, last: LogIndex, changes: Change[]): void {
  for (let index = first; index <= last; index++) changes.push({ key: cells.logKey(index), value: null });
}
