/**
 * Page: a piece of a long list, and where the next piece begins.
 *
 * A page ends at a number of items or at a number of bytes, whichever comes first: a hundred jobs are nothing or six
 * megabytes, by their metadata, and a node that writes such answers for everybody who asks has no turn left for Raft.
 *
 * Invariants: a page is never empty while something is left · it passes its limit of bytes by one item at most.
 */
import { PAGE_BYTES_MAX } from '../base/limits.ts';

export interface PageOptions<T> {
  /** The key of the list in the answer. */
  readonly name: string;
  /** All that come after the cursor; only as many are taken as fit. */
  readonly items: Iterable<T>;
  readonly limit: number;
  readonly look: (item: T) => object;
  readonly cursorOf: (item: T) => string;
}

/** `{"<name>": [item, …], "next": cursor or null}` as text. */
export function pageText<T>({ name, items, limit, look, cursorOf }: PageOptions<T>): string {
  const texts: string[] = [];
  let bytes = 0;
  let next: string | null = null;
  let last: T | null = null;
  for (const item of items) {
    if (last !== null && (texts.length >= limit || bytes >= PAGE_BYTES_MAX)) {
      next = cursorOf(last);
      break;
    }
    const text = JSON.stringify(look(item));
    texts.push(text);
    bytes += Buffer.byteLength(text);
    last = item;
  }
  return `{${JSON.stringify(name)}:[${texts.join(',')}],"next":${JSON.stringify(next)}}`;
}
