/**
 * Trace: what happened, a line an event, and the hash over all lines. Two runs of one seed give equal hashes, or the
 * simulation is not a function of its seed and nothing that it finds can be replayed.
 *
 * It also counts: how often each kind of fault and each rare branch fired.
 */
import { crc32 } from 'node:zlib';

export class Trace {
  readonly #print: ((line: string) => void) | null;
  readonly counts = new Map<string, number>();
  #hash = 0;
  #lineCount = 0;

  constructor(print: ((line: string) => void) | null) {
    this.#print = print;
  }

  line(timeMs: number, who: string, what: string): void {
    const text = `${timeMs.toFixed(3).padStart(11)} ${who.padEnd(4)} ${what}`;
    this.#lineCount += 1;
    this.#hash = crc32(text, this.#hash);
    this.#print?.(text);
  }

  /** For the eye only: not hashed, and made only when someone looks. */
  note(timeMs: number, who: string, what: () => string): void {
    this.#print?.(`${timeMs.toFixed(3).padStart(11)} ${who.padEnd(4)}   ${what()}`);
  }

  count(kind: string, times = 1): void {
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + times);
  }

  get hash(): string {
    return `${this.#lineCount}-${this.#hash.toString(16).padStart(8, '0')}`;
  }
}
