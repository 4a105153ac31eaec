/**
 * Tokens: SQL cut into its words, and written down again in the one way that cannot be read in two.
 *
 * Dialects differ in what is a comment, what escapes a quote and which quotes there are, and whoever checks a text with one
 * reading while another one runs it has checked nothing. So the engine never sees the text that was sent: it gets the
 * tokens as they were understood here, with one space between any two, no comments, and only the quotes of the standard.
 * What another dialect may take for something else is refused, with its place.
 *
 * Invariant: cutting what was written down gives the same tokens again.
 */
import { PolarisError } from '../base/errors.ts';
import { QUERY_SQL_CHARACTERS_MAX } from '../base/limits-query.ts';

export type TokenKind =
  /** A keyword, or a name without quotes. */
  | 'word'
  /** A name in double quotes, without them. */
  | 'name'
  /** What stood between single quotes. */
  | 'text'
  | 'number'
  | 'sign';

export interface Token {
  readonly kind: TokenKind;
  readonly text: string;
  /** Place of its first character in what was sent. */
  readonly at: number;
}

const SPACE = /\s+/y;
const LINE_COMMENT = /--[^\n]*/y;
const WORD = /[A-Za-z_][A-Za-z0-9_]*/y;
const NUMBER = /(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?/y;
const TEXT = /'(?:[^'\0]|'')*'/y;
const NAME = /"(?:[^"\0]|"")+"/y;
/** Longer ones first. */
const SIGN = /!~~\*|!~~|!~\*|!~|~~\*|~~|~\*|<=>|::|\|\||<=|>=|<>|!=|==|\/\/|\^@|[()[\],.;+\-*/%=<>~&|^]/y;
/** What a name, a word or a number may not run into. */
const TAIL = /[A-Za-z0-9_'"]/;

/** @throws PolarisError BAD_QUERY */
export function tokensOf(sql: string): readonly Token[] {
  if (sql.length > QUERY_SQL_CHARACTERS_MAX) {
    throw new PolarisError('BAD_QUERY', `the SQL is longer than ${QUERY_SQL_CHARACTERS_MAX} characters`);
  }
  const tokens: Token[] = [];
  for (let at = 0; at < sql.length; ) {
    const skipped = skip(sql, at);
    if (skipped > at) {
      at = skipped;
      continue;
    }
    const token = tokenAt(sql, at);
    const end = at + token.length;
    if (token.kind !== 'sign' && TAIL.test(sql.charAt(end))) {
      throw badQuery(sql, at, `${excerpt(sql, at)} begins like two things at once; put a space between them`);
    }
    tokens.push({ kind: token.kind, text: token.text, at });
    at = end;
  }
  return tokens;
}

/** The text for the engine. */
export function textOf(tokens: readonly Pick<Token, 'kind' | 'text'>[]): string {
  let text = '';
  let before: Pick<Token, 'kind' | 'text'> | null = null;
  for (const token of tokens) {
    const isJoined = before === null || isDot(before) || (isDot(token) && before.kind !== 'number');
    text += isJoined ? written(token) : ` ${written(token)}`;
    before = token;
  }
  return text;
}

/** An error with its place, as editors count. */
export function badQuery(sql: string, at: number, what: string): PolarisError {
  const before = sql.slice(0, at);
  const line = before.split('\n').length;
  const column = at - (before.lastIndexOf('\n') + 1) + 1;
  return new PolarisError('BAD_QUERY', `line ${line}, column ${column}: ${what}`);
}

/** Behind white space or a comment that begins here; the same place when there is none. */
function skip(sql: string, at: number): number {
  const [space] = match(SPACE, sql, at) ?? match(LINE_COMMENT, sql, at) ?? [];
  if (space !== undefined) return at + space.length;
  if (!sql.startsWith('/*', at)) return at;
  const end = sql.indexOf('*/', at + 2);
  const inner = sql.indexOf('/*', at + 2);
  if (end < 0) throw badQuery(sql, at, 'this comment has no end');
  // Some dialects nest them, and to others the first end is the end.
  if (inner >= 0 && inner < end) throw badQuery(sql, inner, 'a comment begins within a comment');
  return end + 2;
}

function tokenAt(
  sql: string,
  at: number,
): { readonly kind: TokenKind; readonly text: string; readonly length: number } {
  const patterns = { number: NUMBER, word: WORD, text: TEXT, name: NAME, sign: SIGN };
  for (const [kind, pattern] of Object.entries(patterns)) {
    const [found] = match(pattern, sql, at) ?? [];
    if (found !== undefined)
      return { kind: kind as TokenKind, text: unquoted(kind as TokenKind, found), length: found.length };
  }
  const first = sql.charAt(at);
  if (first === "'" || first === '"')
    throw badQuery(sql, at, `this ${first} is not closed, or holds nothing, or a NUL`);
  const hint = /[^\p{ASCII}]/u.test(first) ? '; names with such characters want double quotes' : '';
  throw badQuery(sql, at, `${excerpt(sql, at)} is no SQL that is read here${hint}`);
}

function unquoted(kind: TokenKind, found: string): string {
  if (kind === 'text') return found.slice(1, -1).replaceAll("''", "'");
  return kind === 'name' ? found.slice(1, -1).replaceAll('""', '"') : found;
}

function written({ kind, text }: Pick<Token, 'kind' | 'text'>): string {
  if (kind === 'text') return `'${text.replaceAll("'", "''")}'`;
  return kind === 'name' ? `"${text.replaceAll('"', '""')}"` : text;
}

function isDot({ kind, text }: Pick<Token, 'kind' | 'text'>): boolean {
  return kind === 'sign' && text === '.';
}

function match(pattern: RegExp, sql: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at;
  return pattern.exec(sql);
}

const EXCERPT_CHARACTERS = 20;

function excerpt(sql: string, at: number): string {
  return JSON.stringify(sql.slice(at, at + EXCERPT_CHARACTERS));
}
