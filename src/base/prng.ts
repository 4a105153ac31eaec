/**
 * A small seeded generator (sfc32, by Chris Doty-Humphrey), for everything that draws lots: election timeouts, back-off,
 * ids, the simulator. Equal seeds give equal draws on every platform. Not for secrets.
 */
export interface Prng {
  /** A number in [0, 1). */
  next(): number;
  /** An integer in [low, high), `low < high`. */
  integer(low: number, high: number): number;
  /** True with the probability `p`. */
  chance(p: number): boolean;
  /** `count` bytes. */
  bytes(count: number): Uint8Array;
  /** A generator of its own, so that draws in one part do not shift those in another. */
  fork(): Prng;
}

export function createPrng(seed: number): Prng {
  // splitmix32 spreads a small seed over the four words of state.
  let spread = seed | 0;
  const word = (): number => {
    spread = (spread + 0x9e3779b9) | 0;
    let t = spread ^ (spread >>> 16);
    t = Math.imul(t, 0x21f0aaad);
    t ^= t >>> 15;
    t = Math.imul(t, 0x735a2d97);
    return (t ^ (t >>> 15)) | 0;
  };
  let a = word();
  let b = word();
  let c = word();
  let d = 1;
  const uint32 = (): number => {
    const t = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + t) | 0;
    return t >>> 0;
  };
  for (let i = 0; i < 12; i++) uint32();
  const prng: Prng = {
    next: () => uint32() / 0x1_0000_0000,
    integer: (low, high) => low + Math.floor((uint32() / 0x1_0000_0000) * (high - low)),
    chance: (p) => uint32() / 0x1_0000_0000 < p,
    bytes: (count) => Uint8Array.from({ length: count }, () => uint32() & 0xff),
    fork: () => createPrng(uint32()),
  };
  return prng;
}
