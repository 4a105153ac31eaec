/**
 * Lines: what job code prints, as log lines, at a rate that a node can stand.
 */
import type { Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import { JOB_LOG_LINE_MAX } from '../base/limits.ts';

const SECOND_MS = 1_000;

/** Passes so many lines a second; of the rest it says how many they were, with the first line that passes again. */
export class LineLimiter {
  readonly #perSecond: number;
  readonly #pass: (line: string) => void;
  #second = Number.NEGATIVE_INFINITY;
  #passed = 0;
  #dropped = 0;

  constructor(perSecond: number, pass: (line: string) => void) {
    this.#perSecond = perSecond;
    this.#pass = pass;
  }

  line(line: string): void {
    const now = performance.now();
    if (now - this.#second >= SECOND_MS) {
      this.#second = now;
      this.#passed = 0;
      this.#tellDropped();
    }
    if (this.#passed < this.#perSecond) {
      this.#passed += 1;
      this.#pass(line.length > JOB_LOG_LINE_MAX ? `${line.slice(0, JOB_LOG_LINE_MAX)}…` : line);
    } else {
      this.#dropped += 1;
    }
  }

  /** Nothing more comes. */
  end(): void {
    this.#tellDropped();
  }

  #tellDropped(): void {
    if (this.#dropped > 0) this.#pass(`(${this.#dropped} lines dropped: more than ${this.#perSecond} a second)`);
    this.#dropped = 0;
  }
}

/** Cuts text into lines. A line that does not end is cut off, so that it cannot fill the memory. */
export class LineSplitter {
  readonly #line: (line: string) => void;
  readonly #decoder = new StringDecoder('utf8');
  #rest = '';

  constructor(line: (line: string) => void) {
    this.#line = line;
  }

  write(bytes: Uint8Array): void {
    const lines = (this.#rest + this.#decoder.write(Buffer.from(bytes))).split('\n');
    // One more than is kept, so that the limiter sees that it was longer.
    this.#rest = (lines.pop() ?? '').slice(0, JOB_LOG_LINE_MAX + 1);
    for (const line of lines) this.#line(line);
  }

  end(): void {
    if (this.#rest !== '') this.#line(this.#rest);
    this.#rest = '';
  }
}

/** Reads the stream to its end, so that nobody blocks who writes into it. */
export function captureLines(stream: Readable, perSecond: number, pass: (line: string) => void): void {
  const limiter = new LineLimiter(perSecond, pass);
  const splitter = new LineSplitter((line) => limiter.line(line));
  stream.on('data', (bytes: Buffer) => splitter.write(bytes));
  stream.on('error', () => {});
  stream.once('close', () => {
    splitter.end();
    limiter.end();
  });
}
