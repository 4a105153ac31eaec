/**
 * Faults of a disk for real processes: system calls that strace lets fail or wait, a small file system of
 * its own, and LevelDB's write-ahead log, record by record.
 *
 * Each of them says beforehand why it cannot be used on a machine; whatever needs it is then skipped by that name.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const CAP_SYS_PTRACE = 19n;
const PTRACE_SCOPE = '/proc/sys/kernel/yama/ptrace_scope';

/** Why system calls of a running process cannot be tampered with here; null when they can. */
export function injectionRefusal(): string | null {
  const probe = ['-o', '/dev/null', '-e', 'inject=fdatasync:error=EIO:delay_enter=1', 'true'];
  const tried = spawnSync('strace', probe, { encoding: 'utf8' });
  if (tried.error !== undefined) return 'strace is not installed';
  if (tried.status !== 0) return `strace does not work: ${tried.stderr.trim()}`;
  const scope = existsSync(PTRACE_SCOPE) ? readFileSync(PTRACE_SCOPE, 'utf8').trim() : '0';
  if (scope === '0') return null;
  const effective = /^CapEff:\s*(\w+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
  const allowed = (BigInt(`0x${effective}`) >> CAP_SYS_PTRACE) & 1n;
  return allowed === 1n && scope !== '3' ? null : `strace may not attach to a process (ptrace_scope ${scope})`;
}

/** strace at a process that runs, until `end` or the end of the block that uses it: a killed process waits for its tracer. */
export interface Tampering extends AsyncDisposable {
  /** What strace wrote so far: one line a call. */
  readonly trace: () => string;
  /** Lets the process go on untouched. */
  readonly end: () => Promise<void>;
}

/**
 * Attaches to all threads of a process and tampers with its fdatasync as `fault` says (strace's own words, such as
 * `error=EIO:when=1`). Resolves once every further call is under it.
 */
export async function tamperWithSync(pid: number, fault: string, output: string): Promise<Tampering> {
  const calls = ['-e', 'trace=fdatasync,fsync', '-e', `inject=fdatasync:${fault}`];
  const args = ['-f', '-y', '-ttt', '-T', '-o', output, ...calls, '-p', String(pid)];
  const tracer = spawn('strace', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const exited = once(tracer, 'exit');
  await new Promise<void>((resolve, reject) => {
    let said = '';
    tracer.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      if (said.includes(' attached')) resolve();
    });
    tracer.once('exit', () => reject(new Error(`strace ended: ${said}`)));
  });
  const end = async (): Promise<void> => {
    tracer.kill('SIGINT');
    await exited;
  };
  return { trace: () => readFileSync(output, 'utf8'), end, [Symbol.asyncDispose]: end };
}

/** Why no file system can be mounted here; null when one can. */
export function mountRefusal(): string | null {
  if (process.getuid?.() !== 0) return 'only root may mount a file system';
  const place = mkdtempSync(join(tmpdir(), 'polaris-mount-'));
  const tried = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', place], { encoding: 'utf8' });
  if (tried.status === 0) unmount(place);
  rmdirSync(place);
  if (tried.error !== undefined) return 'mount is not installed';
  return tried.status === 0 ? null : `mount does not work: ${tried.stderr.trim()}`;
}

/** A file system of its own at `place`, with so much room. */
export function mountSmall(place: string, kibibytes: number): void {
  mkdirSync(place, { recursive: true });
  const done = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${kibibytes}k`, 'tmpfs', place], { encoding: 'utf8' });
  if (done.status !== 0) throw new Error(`mount: ${done.stderr}`);
}

export function unmount(place: string): void {
  const done = spawnSync('umount', [place], { encoding: 'utf8' });
  if (done.status !== 0) throw new Error(`umount: ${done.stderr}`);
}

/** LevelDB's write-ahead log of a data directory: the one file that takes every write. */
export function logFileOf(dataDir: string): string {
  const files = readdirSync(join(dataDir, 'log')).filter((name) => name.endsWith('.log'));
  const [name] = files;
  if (name === undefined || files.length > 1) throw new Error(`LevelDB has ${files.length} log files`);
  return join(dataDir, 'log', name);
}

const BLOCK_BYTES = 32 * 1024;
const HEADER_BYTES = 7;
const FULL = 1;
const LAST = 4;

/** One record of the file: one batch. A cut at its beginning or its end is a clean one. */
export interface LogFileRecord {
  readonly begin: number;
  readonly end: number;
}

/** Reads the frames (checksum u32, length u16, type u8, all little-endian; none crosses a block) of whole records. */
export function logFileRecords(bytes: Buffer): LogFileRecord[] {
  const records: LogFileRecord[] = [];
  let begin: number | null = null;
  let at = 0;
  while (at + HEADER_BYTES <= bytes.length) {
    const left = BLOCK_BYTES - (at % BLOCK_BYTES);
    if (left < HEADER_BYTES) {
      at += left;
      continue;
    }
    const type = bytes.readUInt8(at + 6);
    const end = at + HEADER_BYTES + bytes.readUInt16LE(at + 4);
    if (type === 0 || end > bytes.length) break;
    begin ??= at;
    if (type === FULL || type === LAST) {
      records.push({ begin, end });
      begin = null;
    }
    at = end;
  }
  return records;
}
