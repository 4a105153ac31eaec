/**
 * Proc: what the system knows of a process, and the end of process groups.
 *
 * A pid alone names nobody: it is given again. A pid with its start time does. Where there is no /proc (outside Linux)
 * nothing can be proved of a pid, so nothing is ended by it.
 */
import { readFileSync } from 'node:fs';

export const BYTES_PER_MB = 1024 * 1024;
/** Of every Linux that Node 20 runs on with its default configuration; 64 KiB pages make the watch lenient, not wrong. */
const PAGE_BYTES = 4_096;
/** Field 22 of /proc/PID/stat, counted behind the name in parentheses, which is field 2. */
const START_TIME_FIELD = 22 - 3;
const STATE_FIELD = 0;
/** Column of /proc/PID/statm. */
const RESIDENT_COLUMN = 1;

/** Start of the process in clock ticks since boot; null when there is no such process, or only its remains. */
export function startTimeOf(pid: number): string | null {
  const stat = read(`/proc/${pid}/stat`);
  if (stat === null) return null;
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  // A zombie holds its pid and runs nothing.
  if (fields[STATE_FIELD] === 'Z' || fields[STATE_FIELD] === 'X') return null;
  return fields[START_TIME_FIELD] ?? null;
}

/** Null when it cannot be known. */
export function residentMb(pid: number): number | null {
  const statm = read(`/proc/${pid}/statm`);
  const pages = Number(statm?.split(' ')[RESIDENT_COLUMN]);
  return Number.isFinite(pages) ? (pages * PAGE_BYTES) / BYTES_PER_MB : null;
}

/** Why a host was ended that used too much; the same words from both who watch. */
export function memoryReason(limitMb: number): string {
  return `job host was ended: the memory of this job's code on this node passed ${limitMb} MB`;
}

/** Signals every process of a group. False when there is none left. */
export function signalGroup(group: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(-group, signal);
    return true;
  } catch {
    return false;
  }
}

function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
