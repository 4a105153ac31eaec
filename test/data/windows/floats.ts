/**
 * The nearest float to an exact fraction, found by comparing neighbours: slow, and nothing like what is tested with it.
 */
const UNIT_BITS = 1_074n;

/** A finite float in units of the smallest one. */
export function toUnits(value: number): bigint {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, Math.abs(value));
  const bits = view.getBigUint64(0);
  const exponent = bits >> 52n;
  const fraction = bits & ((1n << 52n) - 1n);
  const units = exponent === 0n ? fraction : (fraction | (1n << 52n)) << (exponent - 1n);
  return value < 0 ? -units : units;
}

/** `units / count` as a float, ties to even, halfway beyond the largest to infinity. */
export function nearest(units: bigint, count: bigint): number {
  const magnitude = units < 0n ? -units : units;
  // Floats above zero are in the order of their bits: find the last that is not above the fraction.
  let low = 0n;
  let high = 0x7fefffffffffffffn;
  while (low < high) {
    const middle = (low + high + 1n) >> 1n;
    if (toUnits(ofBits(middle)) * count <= magnitude) low = middle;
    else high = middle - 1n;
  }
  const below = magnitude - toUnits(ofBits(low)) * count;
  const isLargest = low === 0x7fefffffffffffffn;
  const next = isLargest ? 1n << (UNIT_BITS + 1_024n) : toUnits(ofBits(low + 1n));
  const above = next * count - magnitude;
  const up = above < below || (above === below && (low & 1n) === 1n);
  const float = up ? (isLargest ? Number.POSITIVE_INFINITY : ofBits(low + 1n)) : ofBits(low);
  return units < 0n ? -float : float;
}

function ofBits(bits: bigint): number {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, bits);
  return view.getFloat64(0);
}
