/**
 * The real clock, timers and lots of a node: what the simulator replaces.
 */
import { randomBytes, randomInt } from 'node:crypto';
import type { Prng } from '../base/prng.ts';
import type { Clock, Timers } from './env.ts';

/** CLOCK_MONOTONIC: the same in all processes of a machine, so that a job host can keep a deadline of its node. */
export const realClock: Clock = {
  now: () => Number(process.hrtime.bigint()) / 1e6,
  wall: () => Date.now(),
};

export const realTimers: Timers = {
  after(delayMs, run) {
    const timeout = setTimeout(run, delayMs);
    return { cancel: () => clearTimeout(timeout) };
  },
  // The check phase comes after the poll phase: whatever the sockets held is read by then.
  soon: (run) => void setImmediate(run),
};

const STEPS = 2 ** 32;

/** Draws from the system, so that ids of different nodes never meet. */
export const realPrng: Prng = {
  next: () => randomInt(STEPS) / STEPS,
  integer: (low, high) => low + Math.floor((randomInt(STEPS) / STEPS) * (high - low)),
  chance: (p) => randomInt(STEPS) / STEPS < p,
  bytes: (count) => randomBytes(count),
  fork: () => realPrng,
};
