/**
 * Text that survives a round trip: a string with half a surrogate pair has no UTF-8, so one codec writes U+FFFD for it
 * and another something else, and two replicas would differ after one of them was restored.
 */

// With the `u` flag a surrogate matches only where it is not half of a pair.
const LONE_SURROGATE = /\p{Surrogate}/u;
const LONE_SURROGATES = /\p{Surrogate}/gu;

export function isWellFormed(text: string): boolean {
  return !LONE_SURROGATE.test(text);
}

/** At most `lengthMax` UTF-16 units of a text, well-formed even where the cut or the text itself split a pair. */
export function clipText(text: string, lengthMax: number): string {
  const cut = text.length > lengthMax ? `${text.slice(0, lengthMax - 1)}…` : text;
  return cut.replace(LONE_SURROGATES, '\ufffd');
}

const encoder = new TextEncoder();

/** Length of a text as UTF-8. */
export function utf8Length(text: string): number {
  return encoder.encode(text).length;
}
