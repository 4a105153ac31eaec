/**
 * Folds: the columns of a query with groups, as what each part answers and what is made of all answers.
 *
 * A count over everything is the sum of the counts of the parts; a sum, a least and a greatest are those of the parts'. A mean
 * is none of its parts' means: it needs their sums and counts, and is one by the other in the end. Keys of groups get
 * names of their own (`k0`, …), and so do folded values (`f0`, …), so that no name of a dataset stands in their way.
 */
import { type Item, NotPlanned } from './clauses.ts';
import { FOLDING, isFunction, OF_VALUES } from './functions.ts';
import type { ColumnTypes } from './plan.ts';
import { flat, isSign, isWord, namedBy, type Part } from './statement.ts';
import { type Token, textOf } from './tokens.ts';

interface Key {
  readonly name: string;
  readonly value: readonly Token[];
}

/** Words of an expression that are no columns. */
const GRAMMAR = new Set(
  'AND OR NOT NULL TRUE FALSE IS IN BETWEEN LIKE ILIKE CASE WHEN THEN ELSE END AS BIGINT INT INTEGER SMALLINT TINYINT DOUBLE FLOAT REAL VARCHAR TEXT BOOLEAN DATE TIMESTAMP DECIMAL'.split(
    ' ',
  ),
);

/** Whether a part of an expression is the name of a column. */
export function isColumnName(part: Part, next: Part | undefined): boolean {
  if (part.kind === 'name') return true;
  return part.kind === 'word' && next?.kind !== 'group' && !GRAMMAR.has(part.text.toUpperCase());
}

/** Types whose mean is that of their values as doubles. */
const MEANABLE = /^(u?int(8|16|32|64)|float64)$/;

export class Folds {
  readonly #columns: ColumnTypes;
  readonly #keys: Key[] = [];
  /** Texts of what each part answers, by the text of the value. */
  readonly #folds = new Map<string, { readonly name: string; readonly value: readonly Token[] }>();

  constructor(columns: ColumnTypes) {
    this.#columns = columns;
  }

  key(parts: readonly Part[]): void {
    this.#keys.push({ name: `k${this.#keys.length}`, value: flat(parts) });
  }

  /** What the engine would call it. @throws NotPlanned where that is not known */
  nameOf({ alias, column, value }: Item): string {
    if (alias !== null) return alias;
    if (column !== null) return column;
    const [call, group, more] = value;
    if (
      call?.kind === 'word' &&
      FOLDING.has(call.text.toLowerCase()) &&
      group?.kind === 'group' &&
      more === undefined
    ) {
      const [only, other] = group.parts;
      if (isSign(only, '*') && other === undefined) return 'len';
      if (only !== undefined && other === undefined && isColumnName(only, other)) return namedBy(only) ?? '';
    }
    throw new NotPlanned(`${textOf(flat(value))} has no name; give it one with AS`);
  }

  /** An expression of the query, over the answers. @throws NotPlanned */
  rewrite(parts: readonly Part[]): readonly Token[] {
    const text = textOf(flat(parts));
    const key = this.#keys.find(({ value }) => textOf(value) === text);
    if (key !== undefined) return [quoted(key.name)];
    const written: Token[] = [];
    for (let at = 0; at < parts.length; at++) {
      const part = parts[at];
      const next = parts[at + 1];
      if (part === undefined) break;
      if (isWord(part, 'OVER', 'FILTER', 'WITHIN')) throw new NotPlanned(`it uses ${text}`);
      if (part.kind === 'word' && next?.kind === 'group' && isFunction(part.text)) {
        written.push(...this.#call(part, next.parts));
        at += 1;
      } else if (part.kind === 'group') {
        const inner = this.rewrite(part.parts);
        written.push(...bracketed(part.open, inner));
      } else written.push(this.#token(part, next));
    }
    return written;
  }

  /** What is asked of each part: keys first. */
  partial(): { readonly partialItems: readonly Token[]; readonly keys: readonly Key[] } {
    const items = [...this.#keys, ...this.#folds.values()];
    // An answer without columns could not say that it has a row.
    if (items.length === 0) throw new NotPlanned('it folds nothing');
    const partialItems = items.flatMap(({ name, value }, at) => [
      ...(at === 0 ? [] : [sign(',')]),
      ...value,
      word('AS'),
      quoted(name),
    ]);
    return { partialItems, keys: this.#keys };
  }

  #call(part: Token, inner: readonly Part[]): readonly Token[] {
    const name = part.text.toLowerCase();
    if (!FOLDING.has(name)) {
      if (!OF_VALUES.has(name)) throw new NotPlanned(`${part.text}(…) needs all rows of a group at once`);
      return [part, ...bracketed('(', this.rewrite(inner))];
    }
    if (isWord(inner[0], 'DISTINCT', 'ALL'))
      throw new NotPlanned(`${part.text}(DISTINCT …) needs all rows of a group at once`);
    if (flat(inner).some((token) => isWord(token, 'ORDER', 'OVER')))
      throw new NotPlanned(`it orders within ${part.text}(…)`);
    const tokens = flat(inner);
    switch (name) {
      case 'count':
        return call('sum', [this.#fold(call('count', tokens))]);
      case 'avg':
        return this.#mean(tokens);
      default:
        return call(name, [this.#fold(call(name, tokens))]);
    }
  }

  /** Sums are made as doubles, as the engine makes its means. */
  #mean(tokens: readonly Token[]): readonly Token[] {
    const [only, more] = tokens;
    const type = only === undefined || more !== undefined ? undefined : this.#columns.get(only.text);
    if (type === undefined || !MEANABLE.test(type)) {
      throw new NotPlanned('avg(…) is of something else than one column of integers or doubles');
    }
    const total = call('sum', [this.#fold(call('sum', call('cast', [...tokens, word('AS'), word('DOUBLE')])))]);
    const count = call('sum', [this.#fold(call('count', tokens))]);
    // Without any value there is no mean, and no division either.
    return bracketed('(', [
      ...[word('CASE'), word('WHEN'), ...count, sign('>'), { kind: 'number' as const, text: '0', at: 0 }, word('THEN')],
      ...[...total, sign('/'), ...count, word('END')],
    ]);
  }

  #fold(value: readonly Token[]): Token {
    const text = textOf(value);
    const found = this.#folds.get(text) ?? { name: `f${this.#folds.size}`, value };
    this.#folds.set(text, found);
    return quoted(found.name);
  }

  /** Within an expression, only a key may be a column. */
  #token(part: Token, next: Part | undefined): Token {
    if (isSign(part, '*')) return part;
    const isName = part.kind === 'name' || (part.kind === 'word' && !GRAMMAR.has(part.text.toUpperCase()));
    if (!isName) return part;
    const key = this.#keys.find(({ value }) => value.length === 1 && value[0]?.text === part.text);
    if (key === undefined || isSign(next, '.')) {
      throw new NotPlanned(`"${part.text}" is neither folded nor one of the columns that it groups by`);
    }
    return quoted(key.name);
  }
}

function call(name: string, tokens: readonly Token[]): readonly Token[] {
  return [word(name), ...bracketed('(', tokens)];
}

function bracketed(open: '(' | '[', tokens: readonly Token[]): readonly Token[] {
  return [sign(open), ...tokens, sign(open === '(' ? ')' : ']')];
}

function word(text: string): Token {
  return { kind: 'word', text, at: 0 };
}

function sign(text: string): Token {
  return { kind: 'sign', text, at: 0 };
}

function quoted(text: string): Token {
  return { kind: 'name', text, at: 0 };
}
