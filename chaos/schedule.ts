/**
 * Schedule: when something is struck, and how. A pure function of the seed, so that the number on the last line of a red
 * run is all that it takes to have the same crashes again.
 *
 * Everything that strikes has a stream of its own, named after what it does and to whom: a worker that is added shifts no
 * crash of another. Each strike takes the same draws, whether they are needed or not.
 */
import { createPrng, type Prng } from '../src/base/prng.ts';

/** Milliseconds, both ends included. */
export interface Span {
  readonly minMs: number;
  readonly maxMs: number;
}

export interface Strike {
  /** From the end of the strike before, or the start of the job. */
  readonly afterMs: number;
  /** In [0, 1): how long it lasts, from the shortest to the longest of its kind. */
  readonly lengthShare: number;
  /** In [0, 1): whom it strikes, of those that may be struck then. */
  readonly victimShare: number;
  /** In [0, 1): which of the forms that it has. */
  readonly formShare: number;
}

export interface StrikeStream {
  readonly seed: number;
  /** What strikes, and whom where that is fixed: `kill w1`. */
  readonly label: string;
  readonly every: Span;
}

/** The strikes of a stream, one after the other, without end. */
export function createStrikes({ seed, label, every }: StrikeStream): () => Strike {
  const prng = labelledPrng(seed, label);
  return () => ({
    afterMs: every.minMs + Math.round(prng.next() * (every.maxMs - every.minMs)),
    lengthShare: prng.next(),
    victimShare: prng.next(),
    formShare: prng.next(),
  });
}

/** When the strikes of a stream come, in ms from the start, were each over at once; none at or beyond `untilMs`. */
export function strikeTimes(stream: StrikeStream, untilMs: number): number[] {
  const next = createStrikes(stream);
  const times: number[] = [];
  for (let at = next().afterMs; at < untilMs; at += next().afterMs) times.push(at);
  return times;
}

/** All of them that many times faster; never so fast that nothing lies between two. */
export function compressed({ minMs, maxMs }: Span, compress: number): Span {
  return { minMs: Math.max(1, minMs / compress), maxMs: Math.max(1, maxMs / compress) };
}

/** The one that a share in [0, 1) points at. */
export function chosen<T>(items: readonly T[], share: number): T | null {
  return items[Math.floor(share * items.length)] ?? null;
}

/** The length that a share in [0, 1) points at. */
export function lengthOf({ minMs, maxMs }: Span, share: number): number {
  return minMs + share * (maxMs - minMs);
}

/** FNV-1a over both: neighbouring seeds and labels begin far from each other. */
function labelledPrng(seed: number, label: string): Prng {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(`${seed} ${label}`)) hash = Math.imul(hash ^ byte, 0x01000193);
  return createPrng(hash);
}
