/**
 * Bits: validity and booleans, the lowest bit of a byte first, as Arrow lays them out.
 */

export function isBitSet(bits: Uint8Array, at: number): boolean {
  return ((bits[at >> 3]! >> (at & 7)) & 1) === 1;
}

export function setBit(bits: Uint8Array, at: number): void {
  bits[at >> 3]! |= 1 << (at & 7);
}
