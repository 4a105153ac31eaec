/**
 * Assertions: what must be true whatever the input, checked in production too.
 *
 * An assertion that fails means that the code is wrong, not the input; the only safe answer is to stop the process and
 * rebuild from disk. Input meets its schema at the edge and becomes a PolarisError, never an assertion.
 */

/** Thrown when an invariant is broken. A process that sees one prints it and exits with code 70. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
}

export function assert(condition: boolean, invariant: string): asserts condition {
  if (!condition) throw new InvariantError(invariant);
}

/** Ends a `switch` over a closed union: the compiler proves that it is never reached. */
export function unreachable(value: never): never {
  throw new InvariantError(`unreachable: ${JSON.stringify(value)}`);
}

/** The value, which the caller knows to be there. */
export function must<T>(value: T | null | undefined, invariant: string): T {
  if (value === null || value === undefined) throw new InvariantError(invariant);
  return value;
}
