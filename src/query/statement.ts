/**
 * Statement: what may be asked of the datasets, and which of them a query reads.
 *
 * Only SELECT and WITH … SELECT are taken, one at a time, and only functions of a list. The engine would also make and drop
 * tables, and its table functions open any file that the process may read; none of that gets through to it, since a word
 * in front of a bracket is either known to be harmless or refused.
 *
 * A name behind FROM or JOIN is that of a dataset, unless a WITH around it gives it another meaning. A name that was missed
 * here would do no harm: the engine is given the datasets that were found, and knows no others.
 *
 * Invariants: what is passed on begins with SELECT or WITH, as does every query within it · it calls listed functions only ·
 * whatever it reads was found here.
 */
import { must } from '../base/assert.ts';
import { QUERY_DATASETS_MAX, QUERY_DEPTH_MAX } from '../base/limits-query.ts';
import { mayPrecedeBracket } from './functions.ts';
import { badQuery, type Token, textOf, tokensOf } from './tokens.ts';

/** A token, or what stands between two brackets. */
export type Part = Token | Group;

export interface Group {
  readonly kind: 'group';
  readonly open: '(' | '[';
  readonly at: number;
  readonly parts: readonly Part[];
}

export interface Statement {
  /** As the engine gets it. */
  readonly text: string;
  /** The same, by its brackets. */
  readonly parts: readonly Part[];
  /** Names of what it reads, each once, in the order in which they come. */
  readonly datasets: readonly string[];
}

/** @throws PolarisError BAD_QUERY */
export function parseStatement(sql: string): Statement {
  const tokens = tokensOf(sql);
  const end = tokens.at(-1)?.text === ';' ? -1 : tokens.length;
  const grouped = groupsOf(sql, tokens.slice(0, end));
  const reading = new Reading(sql);
  const parts = reading.query(grouped, new Set());
  return { text: textOf(flat(parts)), parts, datasets: [...reading.datasets] };
}

/** The tokens of these parts, brackets and all. */
export function flat(parts: readonly Part[]): readonly Token[] {
  return parts.flatMap((part) => {
    if (part.kind !== 'group') return [part];
    const sign = (text: string): Token => ({ kind: 'sign', text, at: part.at });
    return [sign(part.open), ...flat(part.parts), sign(part.open === '(' ? ')' : ']')];
  });
}

/** Whether a part is this word, however it is written; a quoted name is none. */
export function isWord(part: Part | undefined, ...words: readonly string[]): boolean {
  return part?.kind === 'word' && words.includes(part.text.toUpperCase());
}

/** What a part names, in quotes or without; null for what is no name and no word. */
export function namedBy(part: Part | undefined): string | null {
  return part?.kind === 'word' || part?.kind === 'name' ? part.text : null;
}

export function isSign(part: Part | undefined, text: string): boolean {
  return part?.kind === 'sign' && part.text === text;
}

/** Brackets become groups. */
function groupsOf(sql: string, tokens: readonly Token[]): readonly Part[] {
  const stack: { readonly open: Token | null; readonly parts: Part[] }[] = [{ open: null, parts: [] }];
  for (const token of tokens) {
    const { open, parts } = must(stack.at(-1), 'the outermost level stays');
    if (isSign(token, ';')) throw badQuery(sql, token.at, 'one query at a time');
    if (isSign(token, '(') || isSign(token, '[')) {
      if (stack.length > QUERY_DEPTH_MAX) throw badQuery(sql, token.at, `more than ${QUERY_DEPTH_MAX} brackets deep`);
      stack.push({ open: token, parts: [] });
    } else if (isSign(token, ')') || isSign(token, ']')) {
      if (open?.text !== (token.text === ')' ? '(' : '['))
        throw badQuery(sql, token.at, `this ${token.text} closes nothing`);
      stack.pop();
      stack.at(-1)?.parts.push({ kind: 'group', open: open.text as Group['open'], at: open.at, parts });
    } else parts.push(token);
  }
  const { open, parts } = must(stack.at(-1), 'the outermost level stays');
  if (open !== null) throw badQuery(sql, open.at, `this ${open.text} is not closed`);
  return parts;
}

const CLAUSES = [
  ...['SELECT', 'WHERE', 'GROUP', 'HAVING', 'WINDOW', 'QUALIFY', 'ORDER', 'LIMIT', 'OFFSET', 'FETCH'],
  ...['UNION', 'INTERSECT', 'EXCEPT'],
];

/** One walk through a statement. */
class Reading {
  readonly datasets = new Set<string>();
  readonly #sql: string;

  constructor(sql: string) {
    this.#sql = sql;
  }

  /** A whole query. `scope` holds the names that a WITH around it has given. */
  query(parts: readonly Part[], scope: ReadonlySet<string>): readonly Part[] {
    const [first] = parts;
    if (first === undefined) throw badQuery(this.#sql, 0, 'there is no query');
    if (first.kind !== 'group' && !isWord(first, 'SELECT', 'WITH')) {
      throw badQuery(
        this.#sql,
        first.at,
        `a query begins with SELECT or WITH, not with ${first.text}: it reads, and does nothing else`,
      );
    }
    if (!isWord(first, 'WITH')) return this.#clauses(parts, scope);
    const { head, rest, names } = this.#with(parts, scope);
    return [...head, ...this.query(rest, names)];
  }

  /** `WITH name AS (query), …`: each of them sees those before it. */
  #with(parts: readonly Part[], scope: ReadonlySet<string>) {
    const names = new Set(scope);
    const head: Part[] = parts.slice(0, 1);
    for (let at = 1; ; at += 4) {
      const [name, as, body, comma] = parts.slice(at, at + 4);
      const isNamed = name?.kind === 'name' || (name?.kind === 'word' && !isWord(name, 'RECURSIVE'));
      if (!isNamed || !isWord(as, 'AS') || body?.kind !== 'group') {
        const place = name ?? must(parts[0], 'a WITH is there');
        throw badQuery(
          this.#sql,
          place.at,
          'WITH wants name AS (SELECT …), and takes neither RECURSIVE nor a list of columns',
        );
      }
      head.push(name, must(as, 'it was looked at'), { ...body, parts: this.query(body.parts, names) });
      names.add(name.text);
      if (!isSign(comma, ',')) return { head, rest: parts.slice(at + 3), names };
      head.push(must(comma, 'it was looked at'));
    }
  }

  /** Clauses of one level, sets of queries included. */
  #clauses(parts: readonly Part[], scope: ReadonlySet<string>): readonly Part[] {
    const read: Part[] = [];
    let inFrom = false;
    let wantsTable = false;
    for (let at = 0; at < parts.length; at++) {
      const part = must(parts[at], 'the index is within the list');
      if (wantsTable) {
        const { table, length } = this.#table(parts, at, scope);
        read.push(table);
        at += length - 1;
        wantsTable = false;
        continue;
      }
      if (isWord(part, 'FROM') && !isWord(parts[at - 1], 'DISTINCT')) inFrom = true;
      else if (isWord(part, ...CLAUSES)) inFrom = false;
      if (isWord(part, 'INTO')) throw badQuery(this.#sql, part.at, 'a query reads, and writes nothing INTO anywhere');
      wantsTable = inFrom && (isWord(part, 'FROM', 'JOIN') || isSign(part, ','));
      read.push(this.#expression(part, parts[at - 1], scope));
    }
    if (wantsTable) throw badQuery(this.#sql, this.#sql.length, 'the name of a dataset is missing at the end');
    return read;
  }

  /** What stands behind FROM, JOIN or a comma between them. */
  #table(
    parts: readonly Part[],
    at: number,
    scope: ReadonlySet<string>,
  ): { readonly table: Part; readonly length: number } {
    const part = must(parts[at], 'the index is within the list');
    if (part.kind === 'group') {
      const isQuery = isWord(firstLeaf(part), 'SELECT', 'WITH');
      const within = isQuery ? this.query(part.parts, scope) : this.#joined(part, scope);
      return { table: { ...part, parts: within }, length: 1 };
    }
    if (part.kind !== 'name' && part.kind !== 'word') {
      throw badQuery(
        this.#sql,
        part.at,
        `the name of a dataset was expected, and not ${JSON.stringify(part.text)}; put it in double quotes`,
      );
    }
    let length = 1;
    let name = part.text;
    // Dots belong to the names of datasets: there is nothing above them.
    for (let next = parts[at + 2]; isSign(parts[at + length], '.'); next = parts[at + length + 1]) {
      if (next?.kind !== 'name' && next?.kind !== 'word')
        throw badQuery(this.#sql, part.at, `the name "${name}." has no end`);
      name += `.${next.text}`;
      length += 2;
    }
    if (parts[at + length]?.kind === 'group') {
      throw badQuery(
        this.#sql,
        part.at,
        `${name}(…) is a function; a query reads datasets, and nothing by a function or from a file`,
      );
    }
    if (!scope.has(name)) this.#add(name, part.at);
    return { table: { kind: 'name', text: name, at: part.at }, length };
  }

  /** Tables that are joined within brackets. */
  #joined(group: Group, scope: ReadonlySet<string>): readonly Part[] {
    const alien = group.parts.find((part) => isWord(part, 'FROM', ...CLAUSES));
    if (alien !== undefined)
      throw badQuery(this.#sql, group.at, 'in these brackets, a query or joined datasets are expected');
    const from: Token = { kind: 'word', text: 'FROM', at: group.at };
    return this.#clauses([from, ...group.parts], scope).slice(1);
  }

  #expression(part: Part, before: Part | undefined, scope: ReadonlySet<string>): Part {
    if (part.kind !== 'group') return part;
    if (part.open === '(') this.#checkCall(before);
    if (isWord(firstLeaf(part), 'SELECT', 'WITH')) return { ...part, parts: this.query(part.parts, scope) };
    // FROM in an expression (as in EXTRACT and TRIM) names no table.
    return { ...part, parts: part.parts.map((inner, at) => this.#expression(inner, part.parts[at - 1], scope)) };
  }

  #checkCall(before: Part | undefined): void {
    if (before?.kind === 'name')
      throw badQuery(this.#sql, before.at, `"${before.text}"(…): functions are called without quotes`);
    if (before?.kind !== 'word' || mayPrecedeBracket(before.text)) return;
    throw badQuery(this.#sql, before.at, `there is no function ${before.text}(…) for queries`);
  }

  #add(name: string, at: number): void {
    this.datasets.add(name);
    if (this.datasets.size > QUERY_DATASETS_MAX) {
      throw badQuery(this.#sql, at, `a query may read ${QUERY_DATASETS_MAX} datasets`);
    }
  }
}

/** The first token behind however many brackets. */
function firstLeaf(group: Group): Token | undefined {
  const [first] = group.parts;
  return first?.kind === 'group' ? firstLeaf(first) : first;
}
