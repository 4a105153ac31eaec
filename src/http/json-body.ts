/**
 * The JSON of a request's body, read strictly: what this node understood is exactly what the sender wrote.
 *
 * JSON.parse alone is generous. It takes bytes that are no UTF-8 once they are decoded, turns 1e400 into Infinity, and
 * lets `__proto__` through, which a later copy may turn into a prototype. All of these are refused here, and so is
 * nesting that could overflow the stack of whoever walks the value. What remains generous is said in the docs: numbers
 * are IEEE doubles (RFC 8259 §6), and of two equal keys the last counts.
 */
import { errorText, PolarisError } from '../base/errors.ts';
import { JSON_DEPTH_MAX } from '../base/limits.ts';
import type { Json } from '../base/types.ts';

const UTF8 = new TextDecoder('utf-8', { fatal: true });

/** The value, or undefined for an empty body. @throws PolarisError BAD_JSON */
export function parseJsonBody(body: Uint8Array): Json | undefined {
  if (body.length === 0) return undefined;
  let value: Json;
  try {
    value = JSON.parse(UTF8.decode(body));
  } catch (cause) {
    throw new PolarisError('BAD_JSON', `the body is not JSON: ${errorText(cause)}`, { cause });
  }
  checkJson(value, 0);
  return value;
}

function checkJson(value: Json, depth: number): void {
  if (depth > JSON_DEPTH_MAX) throw new PolarisError('BAD_JSON', `the body nests deeper than ${JSON_DEPTH_MAX} levels`);
  if (typeof value === 'string') checkText(value);
  else if (typeof value === 'number' && !Number.isFinite(value)) {
    throw new PolarisError('BAD_JSON', 'the body has a number beyond ±1.8e308');
  } else if (Array.isArray(value)) for (const item of value) checkJson(item, depth + 1);
  else if (typeof value === 'object' && value !== null) {
    for (const [key, item] of Object.entries(value)) {
      if (key === '__proto__') throw new PolarisError('BAD_JSON', 'the key "__proto__" is not allowed');
      checkText(key);
      checkJson(item, depth + 1);
    }
  }
}

/** Half a surrogate pair has no UTF-8, so it would change on its way to disk (RFC 8785 §3.2.2.2 refuses it too). */
function checkText(text: string): void {
  if (/\p{Surrogate}/u.test(text)) throw new PolarisError('BAD_JSON', 'a text has half a surrogate pair');
}
