/**
 * What was asked for: canonical metadata, and when two submits ask for the same.
 *
 * A client that heard no answer submits again with the same id. Whether that is "the same job again" must not hang on
 * the order of keys or on who wrote 1.0 for 1, so metadata is kept as canonical JSON (RFC 8785) and options are filled
 * in before they are compared.
 */
import canonicalize from 'canonicalize';
import { errorText, PolarisError } from '../base/errors.ts';
import { type Handle, sameHandle } from '../base/handle.ts';
import type { Json } from '../base/types.ts';
import { sameOptions } from './options.ts';
import type { JobSpec } from './types.ts';

/** @throws PolarisError BAD_METADATA for what has no canonical form: NaN, half a surrogate pair, a circle, endless depth. */
export function canonicalJson(value: Json): string {
  let text: string | undefined;
  try {
    text = canonicalize(value);
  } catch (cause) {
    throw new PolarisError('BAD_METADATA', `the metadata has no canonical JSON: ${errorText(cause)}`, { cause });
  }
  if (text === undefined) throw new PolarisError('BAD_METADATA', 'the metadata is no JSON value');
  return text;
}

/** Whether both ask for the same work; by value, and metadata byte for byte. */
export function sameSpec(left: JobSpec, right: JobSpec): boolean {
  return (
    left.id === right.id &&
    left.name === right.name &&
    left.start === right.start &&
    left.end === right.end &&
    left.metadata === right.metadata &&
    left.exposure === right.exposure &&
    left.overseen === right.overseen &&
    sameInput(left.input, right.input) &&
    left.inputName === right.inputName &&
    left.collects === right.collects &&
    sameOptions(left.options, right.options)
  );
}

function sameInput(left: Handle | null, right: Handle | null): boolean {
  return left === null || right === null ? left === right : sameHandle(left, right);
}
