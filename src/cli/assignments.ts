/**
 * Assignments: `key=value` words of a command line. Values that read as JSON are taken as such, anything else is text;
 * which keys there are and what they take is judged by the server, in one place for all clients.
 */
import { PolarisError } from '../base/errors.ts';
import type { Json } from '../base/types.ts';

export type Assigned = { readonly [key: string]: Json };

/** @throws PolarisError USAGE naming the word */
export function parseAssignments(words: readonly string[], what: string): Assigned {
  const assigned: Assigned = {};
  for (const word of words) {
    const equals = word.indexOf('=');
    if (equals < 1) throw new PolarisError('USAGE', `${what} must look like key=value, not "${word}"`);
    assign(assigned, word.slice(0, equals), readValue(word.slice(equals + 1)), what);
  }
  return assigned;
}

/** @throws PolarisError USAGE when the key has a value already */
export function assign(assigned: Assigned, key: string, value: Json, what: string): void {
  if (Object.hasOwn(assigned, key)) throw new PolarisError('USAGE', `${what} ${key} is given twice`);
  // `__proto__` as a plain assignment would vanish instead of being refused by name.
  Object.defineProperty(assigned, key, { value, enumerable: true });
}

function readValue(text: string): Json {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
