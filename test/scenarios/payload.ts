/**
 * Payload: what the entries of a scenario hold. The core never looks inside of an entry; here it is a text, or a change
 * of the configuration behind a mark that no text begins with.
 *
 * Changes are written as in etcd's scenarios: `v4` adds a voter, `l5` a learner, `r1` removes.
 */
import { unreachable } from '../../src/base/assert.ts';
import type { Term } from '../../src/base/types.ts';
import type { ConfChange, Entry } from '../../src/raft/types.ts';

const CHANGE_MARK = '\u0001';

type Change = ConfChange['changes'][number];

const KINDS: ReadonlyMap<string, Change['kind']> = new Map([
  ['v', 'add-voter'],
  ['l', 'add-learner'],
  ['r', 'remove'],
]);

export type Content =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'change'; readonly change: ConfChange };

export function encodeText(text: string): Uint8Array {
  return Buffer.from(text);
}

export function encodeConfChange(change: ConfChange): Uint8Array {
  return Buffer.from(CHANGE_MARK + JSON.stringify(change));
}

/** Entries are sealed as "term.index:" and the payload, so that each entry's bytes tell where they belong. */
export function seal(term: Term, index: number, payload: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from(`${term}.${index}:`), payload]);
}

export function contentOf(entry: Entry): Content {
  const sealed = Buffer.from(entry.record).toString();
  const payload = sealed.slice(sealed.indexOf(':') + 1);
  if (!payload.startsWith(CHANGE_MARK)) return { kind: 'text', text: payload };
  return { kind: 'change', change: JSON.parse(payload.slice(CHANGE_MARK.length)) as ConfChange };
}

/** Null for anything that is no change. */
export function parseChange(text: string): Change | null {
  const kind = KINDS.get(text.slice(0, 1));
  return kind !== undefined && /^.\d+$/.test(text) ? { kind, id: text.slice(1) } : null;
}

/** `leave` for no changes; the transition is named where it is not the usual one. */
export function changeText({ transition, changes }: ConfChange): string {
  if (changes.length === 0) return 'leave';
  const texts = changes.map(({ kind, id }) => `${letterOf(kind)}${id}`).join(' ');
  return transition === 'auto' ? texts : `${texts} ${transition}`;
}

function letterOf(kind: Change['kind']): string {
  switch (kind) {
    case 'add-voter':
      return 'v';
    case 'add-learner':
      return 'l';
    case 'remove':
      return 'r';
    default:
      return unreachable(kind);
  }
}
