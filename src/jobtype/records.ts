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
import { z } from 'zod';
import { errorText, PolarisError } from '../base/errors.ts';
import { LEFTOVER_POLL_MS, LEFTOVER_WAIT_MS } from '../base/limits.ts';
import { signalGroup, startTimeOf } from './proc.ts';

const RECORD = z.object({
  pid: z.int().positive(),
  startTime: z.string(),
  /** The host that started it; null for a host. */
  host: z.int().positive().nullable(),
});

type ProcessRecord = z.infer<typeof RECORD>;

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

export function removeRecord(directory: string, pid: number): void {
  rmSync(join(directory, String(pid)), { force: true });
}

/** Kills what is left of a dead host: its own group, and those of its programs. */
export function endRemains(directory: string, host: number): void {
  signalGroup(host, 'SIGKILL');
  removeRecord(directory, host);
  for (const record of readRecords(directory)) {
    if (record.host !== host) continue;
    if (lives(record)) signalGroup(record.pid, 'SIGKILL');
    removeRecord(directory, record.pid);
  }
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

/** A record that was cut off by a crash names a process whose pipe closed in the same moment: it is passed over. */
function readRecords(directory: string): readonly ProcessRecord[] {
  const records: ProcessRecord[] = [];
  for (const name of readdirSync(directory)) {
    const parsed = RECORD.safeParse(parse(join(directory, name)));
    if (parsed.success) records.push(parsed.data);
  }
  return records;
}

function parse(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (thrown) {
    return errorText(thrown);
  }
}
