/**
 * Servers: a real Redis and a real PostgreSQL of one's own, for as long as a test or a chaos run needs them.
 *
 * Invariants: they listen on 127.0.0.1 only · all that they write is below the given directory · each is ended by the id
 * of the process that was started here, at the latest when this process exits.
 */
import { type ChildProcess, execFile, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, chmodSync, chownSync, constants, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { takePorts } from './ports.ts';

export interface RedisServer {
  readonly port: number;
  readonly pid: number;
  /** Resolves when the process has ended. */
  stop(): Promise<void>;
}

export interface PostgresServer {
  /** `postgres://polaris@127.0.0.1:PORT/postgres` */
  readonly url: string;
  readonly pid: number;
  /** Resolves when the process has ended. */
  stop(): Promise<void>;
}

/** Recovery, or the first start on a busy machine, is a matter of seconds. */
const READY_MS = 60_000;
/** What sessions are given to end by themselves. */
const SESSIONS_MS = 2_000;
/** What a server that does not come up said last is part of the error. */
const COMPLAINT_CHARACTERS = 2_000;
const DEBIAN_POSTGRES = '/usr/lib/postgresql';
/** PostgreSQL refuses to run as root; the package makes this user. */
const POSTGRES_USER = 'postgres';
const POSTGRES_PROGRAMS = ['initdb', 'postgres'] as const;

/** Null when there is none on this machine. */
export function redisServerPath(): string | null {
  const candidates = searchPath().map((path) => join(path, 'redis-server'));
  return candidates.find(executable) ?? null;
}

/** The directory of `initdb` and `postgres`, the newest version first; null when there is none that could be run here. */
export function postgresBinDir(): string | null {
  if (runsAsRoot() && userNamed(POSTGRES_USER) === null) return null;
  const candidates = [...debianVersions(), ...searchPath()];
  return candidates.find((path) => POSTGRES_PROGRAMS.every((program) => executable(join(path, program)))) ?? null;
}

/** An empty Redis that keeps nothing on disk. */
export async function startRedis(dir: string): Promise<RedisServer> {
  const program = redisServerPath();
  if (program === null) throw new Error('there is no redis-server on this machine');
  mkdirSync(dir, { recursive: true });
  const [port = 0] = await takePorts(1);
  const place = ['--bind', '127.0.0.1', '--port', String(port), '--dir', dir];
  const child = spawn(program, [...place, '--save', '', '--appendonly', 'no', '--daemonize', 'no'], OUTPUT_ONLY);
  await ready(child, 'Ready to accept connections');
  return { port, ...handle(child) };
}

/** A new PostgreSQL with one superuser, `polaris`, who needs no password. */
export async function startPostgres(dir: string): Promise<PostgresServer> {
  const binDir = postgresBinDir();
  if (binDir === null) throw new Error('there is no PostgreSQL that could be run on this machine');
  const user = runsAsRoot() ? userNamed(POSTGRES_USER) : null;
  const data = join(dir, 'postgres');
  mkdirSync(data, { recursive: true, mode: 0o700 });
  if (user !== null) {
    chownSync(data, user.uid, user.gid);
    // Temporary directories are closed to others: it must get through, and need not look around.
    chmodSync(dir, 0o711);
  }
  const as = { ...(user ?? {}), cwd: data };
  const words = ['-D', data, '-U', 'polaris', '--auth', 'trust', '--encoding', 'UTF8', '--locale', 'C', '--no-sync'];
  await promisify(execFile)(join(binDir, 'initdb'), words, as);
  const [port = 0] = await takePorts(1);
  // Processes are killed here, machines are not: a commit need not wait for the disk.
  const settings = ['listen_addresses=127.0.0.1', `port=${port}`, 'unix_socket_directories=', 'fsync=off'];
  const flags = settings.flatMap((setting) => ['-c', setting]);
  const child = spawn(join(binDir, 'postgres'), ['-D', data, ...flags], { ...OUTPUT_ONLY, ...as });
  await ready(child, 'database system is ready to accept connections');
  return { url: `postgres://polaris@127.0.0.1:${port}/postgres`, ...handle(child) };
}

const OUTPUT_ONLY: SpawnOptions = { stdio: ['ignore', 'pipe', 'pipe'] };

/** Resolves when the server has said the sentence, on either stream. A server that does not is ended. */
async function ready(child: ChildProcess, sentence: string): Promise<void> {
  let said = '';
  const timer = setTimeout(() => child.kill('SIGKILL'), READY_MS);
  try {
    await new Promise<void>((resolve, reject) => {
      const listen = (text: string) => {
        said = (said + text).slice(-COMPLAINT_CHARACTERS);
        if (said.includes(sentence)) resolve();
      };
      // Read to the end also later: a server whose pipe is full would stand still.
      child.stdout?.setEncoding('utf8').on('data', listen);
      child.stderr?.setEncoding('utf8').on('data', listen);
      child.once('error', reject);
      child.once('close', () => reject(new Error(`${child.spawnfile} did not come up: ${said.trim()}`)));
    });
  } finally {
    clearTimeout(timer);
  }
}

function handle(child: ChildProcess): { readonly pid: number; stop(): Promise<void> } {
  if (child.pid === undefined) throw new Error(`${child.spawnfile} was not started`);
  const orphan = () => child.kill('SIGKILL');
  process.once('exit', orphan);
  child.once('exit', () => process.off('exit', orphan));
  return {
    pid: child.pid,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, 'exit');
      child.kill('SIGTERM');
      // PostgreSQL then waits for its sessions, which may be saying good-bye; a client that stays is thrown out.
      const impatient = setTimeout(() => child.kill('SIGINT'), SESSIONS_MS);
      await exited;
      clearTimeout(impatient);
    },
  };
}

function searchPath(): readonly string[] {
  return (process.env['PATH'] ?? '').split(delimiter).filter((path) => path !== '');
}

function debianVersions(): readonly string[] {
  try {
    const versions = readdirSync(DEBIAN_POSTGRES).sort((left, right) => Number(right) - Number(left));
    return versions.map((version) => join(DEBIAN_POSTGRES, version, 'bin'));
  } catch {
    return [];
  }
}

function executable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function runsAsRoot(): boolean {
  return process.getuid?.() === 0;
}

function userNamed(name: string): { readonly uid: number; readonly gid: number } | null {
  let rows: readonly string[];
  try {
    rows = readFileSync('/etc/passwd', 'utf8').split('\n');
  } catch {
    return null;
  }
  const [, , uid, gid] = rows.find((row) => row.startsWith(`${name}:`))?.split(':') ?? [];
  return uid === undefined || gid === undefined ? null : { uid: Number(uid), gid: Number(gid) };
}
