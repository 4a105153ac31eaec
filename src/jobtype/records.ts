/**
 * Records: the processes that a node started, written down where the next life of the node finds them.
 *
 * Job hosts end by themselves when their node dies, so a record is a second line: a host that is stopped, or wedged in
 * the kernel, must be gone before the same node works again. One file `hosts/<pid>` a process, hosts and programs alike,
 * each the leader of its own process group.
 *
 * Invariant: a process is ended by its record only if it has the start time that was written.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PolarisError } from '../base/errors.ts';
import { LEFTOVER_POLL_MS, LEFTOVER_WAIT_MS } from '../base/limits.ts';
import { signalGroup, startTimeOf } from './proc.ts';

interface ProcessRecord {
  readonly pid: number;
  readonly startTime: string;
  /** The host that started it; null for a host. */
  readonly host: number | null;
}

export function recordsDirOf(dataDir: string): string {
  const directory = join(dataDir, 'hosts');
  mkdirSync(directory, { recursive: true });
  return directory;
}

/** Call at once after the spawn, in the same turn. */
export function writeRecord(directory: string, pid: number, host: number | null): void {
  const startTime = startTimeOf(pid);
  if (startTime === null) return;
  writeFileSync(join(directory, String(pid)), JSON.stringify({ pid, startTime, host } satisfies ProcessRecord));
}

/** A record that cannot be removed is left: it names nobody any more. */
export function removeRecord(directory: string, pid: number): void {
  try {
    rmSync(join(directory, String(pid)), { force: true });
  } catch {
    // The disk that refuses this refuses the log too, and that is reported there.
  }
}

/** Kills what is left of a host: its programs, then its own group. A host that calls this for itself ends here. */
export function endRemains(directory: string, host: number): void {
  for (const record of readRecords(directory)) {
    if (record.host !== host) continue;
    if (lives(record)) signalGroup(record.pid, 'SIGKILL');
    removeRecord(directory, record.pid);
  }
  removeRecord(directory, host);
  signalGroup(host, 'SIGKILL');
}

/**
 * Ends the job hosts and programs that a former life of this data directory left behind, and waits until they are gone.
 * For a starting node, before it joins. @throws PolarisError TIMED_OUT when one cannot be ended.
 */
export async function endLeftoverHosts(dataDir: string): Promise<void> {
  const directory = recordsDirOf(dataDir);
  const left = readRecords(directory);
  for (let waitedMs = 0; waitedMs < LEFTOVER_WAIT_MS; waitedMs += LEFTOVER_POLL_MS) {
    const living = left.filter(lives);
    if (living.length === 0) {
      for (const name of readdirSync(directory)) rmSync(join(directory, name), { force: true });
      return;
    }
    for (const record of living) signalGroup(record.pid, 'SIGKILL');
    // Nothing tells of the end of a process that is not our child, so it is asked for.
    await sleep(LEFTOVER_POLL_MS);
  }
  const pids = left.filter(lives).map((record) => record.pid);
  throw new PolarisError('TIMED_OUT', `processes of a former life of this node cannot be ended: ${pids.join(', ')}`);
}

function lives(record: ProcessRecord): boolean {
  return startTimeOf(record.pid) === record.startTime;
}

function readRecords(directory: string): readonly ProcessRecord[] {
  const records = listRecords(directory).map((name) => readRecord(join(directory, name)));
  return records.filter((record) => record !== null);
}

function listRecords(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** Null when it was cut off by a crash: what it names then lost its channel in the same moment, and ends by itself. */
function readRecord(path: string): ProcessRecord | null {
  let value: Partial<ProcessRecord> | null;
  try {
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return null;
  }
  const { pid, startTime, host = null } = value ?? {};
  if (!isPid(pid) || typeof startTime !== 'string' || !(host === null || isPid(host))) return null;
  return { pid, startTime, host };
}

function isPid(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 1;
}
