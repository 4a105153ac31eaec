/**
 * Contents: reads the cells of a disk back, and believes none of them.
 *
 * LevelDB's recovery skips what it cannot read and carries on, so acknowledged entries can vanish without an error, even
 * from the middle. A node that came back without them could vote for a leader that lacks them too. Hence everything that
 * a whole log must fulfil is checked here, and whoever fails may not start again under its old id.
 *
 * Invariants checked: every CRC · indexes first..last without a gap · terms never fall · entries join the snapshot ·
 * HardState knows the term of the last entry and commits no more than there is · log and HardState reach their mark.
 */
import { PolarisError } from '../base/errors.ts';
import { openRecord } from '../base/record.ts';
import type { LogIndex, Term } from '../base/types.ts';
import type { Entry } from '../raft/types.ts';
import * as cells from './cells.ts';
import { boundsOf } from './plan.ts';
import type { StoreContents } from './types.ts';

/** What was once synced, in four words; kept beside the log, so that a lost tail is noticed. */
export interface Mark {
  /** Of the last entry. */
  readonly index: LogIndex;
  readonly term: Term;
  /** Term of the HardState, and whether it held a vote: a vote that is lost could be given twice. */
  readonly savedTerm: Term;
  readonly voted: boolean;
}

type Log = Pick<StoreContents, 'entries' | 'snapshot' | 'hardState'>;

/**
 * @param all every cell, in key order.
 * @returns null for a disk that was never written.
 * @throws PolarisError LOG_DAMAGED, or OTHER_FORMAT for what another version wrote.
 */
export function readContents(all: Iterable<readonly [string, Uint8Array]>, mark: Mark | null): StoreContents | null {
  const meta = new Map<string, Uint8Array>();
  const records: (readonly [LogIndex, Uint8Array])[] = [];
  for (const [key, value] of all) {
    const index = cells.logIndexOf(key);
    if (index === null) meta.set(key, value);
    else records.push([index, value]);
  }
  if (meta.size === 0 && records.length === 0) {
    if (mark !== null && mark.index > 0) throw cells.damaged(`it is empty, but held ${mark.index} entries`);
    return null;
  }
  const read = <T>(key: string, decode: (cell: Uint8Array) => T): T | null => {
    const cell = meta.get(key);
    meta.delete(key);
    return cell === undefined ? null : decode(cell);
  };
  // First of all, for it says in which format all the rest is.
  const instanceId = read(cells.IDENTITY_KEY, cells.decodeIdentity);
  if (instanceId === null) throw cells.damaged('its instance id is missing');
  const entries = records.map(([index, record]) => readEntry(index, record));
  const formation = read(cells.FORMATION_KEY, cells.decodeFormation);
  const joined = read(cells.CLUSTER_KEY, cells.decodeCluster);
  const hardState = read(cells.HARD_STATE_KEY, cells.decodeHardState);
  const snapshot = read(cells.SNAPSHOT_KEY, cells.decodeSnapshot);
  for (const key of meta.keys())
    throw cells.damaged(`it holds ${JSON.stringify(key)}, which this version never writes`);
  if (formation !== null && joined !== null && formation.clusterId !== joined) {
    throw cells.damaged(`it names two clusters, ${formation.clusterId} and ${joined}`);
  }
  checkLog({ entries, snapshot, hardState });
  checkHardState({ entries, snapshot, hardState });
  if (mark !== null) checkMark(mark, { entries, snapshot, hardState });
  return { instanceId, clusterId: formation?.clusterId ?? joined, formation, hardState, snapshot, entries };
}

function readEntry(index: LogIndex, record: Uint8Array): Entry {
  try {
    const opened = openRecord(record);
    if (opened.index !== index) throw cells.damaged(`entry ${opened.index} lies in the place of entry ${index}`);
    return { term: opened.term, index, record };
  } catch (cause) {
    if (cause instanceof PolarisError) throw cells.damaged(`entry ${index}: ${cause.detail}`, cause);
    throw cause;
  }
}

function checkLog(log: Log): void {
  const { entries, snapshot } = log;
  const { first, last, snapshotIndex } = boundsOf(log);
  let expected = first;
  let term = 0;
  for (const entry of entries) {
    if (entry.index !== expected) throw cells.damaged(`entry ${expected} is missing`);
    if (entry.term < term) throw cells.damaged(`the term falls from ${term} to ${entry.term} at entry ${entry.index}`);
    if (snapshot !== null && entry.index === snapshotIndex && entry.term !== snapshot.meta.term) {
      throw cells.damaged(`entry ${entry.index} has term ${entry.term}, its snapshot ${snapshot.meta.term}`);
    }
    expected += 1;
    term = entry.term;
  }
  if (first > snapshotIndex + 1) throw cells.damaged(`entry ${snapshotIndex + 1} is missing`);
  if (last < snapshotIndex) throw cells.damaged(`entries ${last + 1} to ${snapshotIndex} are missing`);
  if (snapshot !== null && last > snapshotIndex && term < snapshot.meta.term) {
    throw cells.damaged(`the last term ${term} is below the snapshot's, ${snapshot.meta.term}`);
  }
}

function checkHardState(log: Log): void {
  const { entries, hardState } = log;
  const { last, lastTerm } = boundsOf(log);
  if (hardState === null) {
    if (entries.length > 0) throw cells.damaged('it has entries, but no HardState');
    return;
  }
  if (hardState.term < lastTerm) {
    throw cells.damaged(`HardState has term ${hardState.term}, the last entry ${lastTerm}`);
  }
  if (hardState.commit > last) {
    throw cells.damaged(`HardState has committed ${hardState.commit}, but the last entry is ${last}`);
  }
}

function checkMark(mark: Mark, log: Log): void {
  const { entries, snapshot } = log;
  const { first, last, savedTerm, voted } = boundsOf(log);
  if (last < mark.index) throw cells.damaged(`the last entry is ${last}, but entry ${mark.index} was once synced`);
  const term = mark.index === snapshot?.meta.index ? snapshot.meta.term : entries[mark.index - first]?.term;
  if (mark.index >= first && term !== mark.term) {
    throw cells.damaged(`entry ${mark.index} has term ${term}, but was synced with term ${mark.term}`);
  }
  if (savedTerm < mark.savedTerm) {
    throw cells.damaged(`HardState has term ${savedTerm}, but term ${mark.savedTerm} was once synced`);
  }
  if (savedTerm === mark.savedTerm && mark.voted && !voted) {
    throw cells.damaged(`the vote of term ${savedTerm} is missing, but was once synced`);
  }
}
