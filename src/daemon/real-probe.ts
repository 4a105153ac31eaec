/**
 * The real Probe: programs and HTTP requests, each with a time to answer and a bound on what is read.
 *
 * A program leads a process group, so that whatever it starts ends with it: when its time is over, and when this process
 * exits. It gets none of our files. LevelDB opens them without O_CLOEXEC, and a program that wrote to the wrong
 * descriptor would write into the log; so each is covered with /dev/null where the program would find it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, fstatSync, openSync, readdirSync } from 'node:fs';
import { errorText } from '../base/errors.ts';
import { PIPES_CLOSE_MS } from '../base/limits.ts';
import { OUTSIDE_BYTES_MAX, OUTSIDE_WAIT_MS } from '../base/limits-masters.ts';
import type { Probe, ProbeAnswer, ProbeDone, ProbeRequest } from './probe.ts';
import { realTimers } from './real.ts';

const STANDARD_STREAMS = 3;
const LATE = { kind: 'unreachable', why: `no answer within ${OUTSIDE_WAIT_MS} ms` } as const;

export function createProbe(): Probe {
  const running = new Set<ChildProcess>();
  process.on('exit', () => {
    for (const child of running) endGroup(child);
  });
  return {
    run: (command, environment, done) => run(running, command, environment, done),
    fetch: (request, done) => {
      answer(request).then(done, (thrown: unknown) => done({ kind: 'unreachable', why: whyNot(thrown) }));
    },
  };
}

async function answer({ method, url, headers, body }: ProbeRequest): Promise<ProbeAnswer> {
  const signal = AbortSignal.timeout(OUTSIDE_WAIT_MS);
  const response = await fetch(url, { method, headers, body, signal, redirect: 'manual' });
  const text = response.body === null ? '' : await beginningOf(response.body);
  return { kind: 'answered', status: response.status, text };
}

/** What the body begins with. The rest is not waited for. */
async function beginningOf(body: ReadableStream<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = [];
  let left = OUTSIDE_BYTES_MAX;
  for await (const part of body) {
    parts.push(part.subarray(0, left));
    left -= part.length;
    if (left <= 0) break;
  }
  return Buffer.concat(parts).toString('utf8');
}

/** `fetch` says only that it failed; the reason is in the cause. */
function whyNot(thrown: unknown): string {
  if (thrown instanceof Error && thrown.name === 'TimeoutError') return LATE.why;
  return errorText(thrown instanceof Error ? (thrown.cause ?? thrown) : thrown);
}

function run(
  running: Set<ChildProcess>,
  [program, ...args]: readonly string[],
  environment: { readonly [name: string]: string },
  done: ProbeDone,
): void {
  const nothing = openSync('/dev/null', 'r+');
  const child = spawn(program ?? '', args, {
    detached: true,
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'pipe', ...ownFiles(nothing)],
  });
  closeSync(nothing);
  running.add(child);
  const said = new Said();
  child.stdout?.on('data', (part: Buffer) => said.add(part));
  child.stderr?.on('data', (part: Buffer) => said.add(part));
  let isLate = false;
  const patience = realTimers.after(OUTSIDE_WAIT_MS, () => {
    isLate = true;
    endGroup(child);
  });
  const end = (result: ProbeAnswer) => {
    if (!running.delete(child)) return;
    patience.cancel();
    child.stdout?.destroy();
    child.stderr?.destroy();
    done(result);
  };
  child.once('error', (error) => end({ kind: 'unreachable', why: errorText(error) }));
  child.once('exit', (code, signal) => {
    const finish = () => end(isLate ? LATE : verdict(code, signal, said.text));
    // What it leaves behind ends with it. Somebody who left its group may hold the pipes for ever.
    endGroup(child);
    child.once('close', finish);
    realTimers.after(PIPES_CLOSE_MS, finish);
  });
}

function verdict(code: number | null, signal: string | null, text: string): ProbeAnswer {
  if (code === null) return { kind: 'unreachable', why: `it was ended by ${signal}` };
  return { kind: 'answered', status: code, text };
}

/** The descriptors of this process from 3 on, up to its last file, each covered with `cover`. */
function ownFiles(cover: number): number[] {
  const files = readdirSync('/dev/fd')
    .map(Number)
    .filter((fd) => fd !== cover && isFile(fd));
  const last = files.length === 0 ? -1 : Math.max(...files);
  return Array.from({ length: Math.max(0, last + 1 - STANDARD_STREAMS) }, () => cover);
}

/** The descriptor of the listing itself is closed by now. */
function isFile(fd: number): boolean {
  try {
    return fstatSync(fd).isFile();
  } catch {
    return false;
  }
}

function endGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Nobody is left of it.
  }
}

/** The beginning of what a program says. */
class Said {
  readonly #parts: Buffer[] = [];
  #left = OUTSIDE_BYTES_MAX;

  add(part: Buffer): void {
    if (this.#left > 0) this.#parts.push(part.subarray(0, this.#left));
    this.#left -= part.length;
  }

  get text(): string {
    return Buffer.concat(this.#parts).toString('utf8');
  }
}
