/**
 * Command: a directive, taken apart: a verb, words, and options of the form `key=value` or `key=(a,b)`.
 *
 * A verb takes what it knows, and `finish` refuses what nobody took: a misspelt option must not pass in silence, or the
 * scenario would show something else than its comment says.
 */
import type { Block } from './script.ts';
import { ScenarioError } from './script.ts';

export class Command {
  readonly line: number;
  readonly verb: string;
  readonly input: readonly string[];
  readonly #words: string[] = [];
  readonly #options = new Map<string, readonly string[]>();

  constructor(block: Block) {
    this.line = block.line;
    this.input = block.input;
    const [verb, ...parts] = tokens(block.directive);
    this.verb = verb ?? '';
    for (const part of parts) {
      const option = /^([a-z0-9-]+)=(.*)$/.exec(part);
      if (option === null) this.#words.push(part);
      else if (this.#options.has(option[1]!)) throw this.error(`${option[1]} is given twice`);
      else this.#options.set(option[1]!, listOf(option[2]!));
    }
  }

  error(what: string, cause?: unknown): ScenarioError {
    return new ScenarioError(this.line, `${this.verb}: ${what}`, { cause });
  }

  /** The next word that was not taken. */
  word(name: string): string {
    const word = this.#words.shift();
    if (word === undefined) throw this.error(`${name} is missing`);
    return word;
  }

  /** All words that were not taken. */
  words(): string[] {
    return this.#words.splice(0);
  }

  get hasWords(): boolean {
    return this.#words.length > 0;
  }

  number(name: string): number {
    return this.#toNumber(name, this.word(name));
  }

  /** Null when the option is absent. */
  list(key: string): readonly string[] | null {
    const values = this.#options.get(key) ?? null;
    this.#options.delete(key);
    return values;
  }

  option(key: string): string | null {
    const values = this.list(key);
    if (values !== null && values.length !== 1) throw this.error(`${key} takes one value`);
    return values?.[0] ?? null;
  }

  numberOption(key: string): number | null {
    const value = this.option(key);
    return value === null ? null : this.#toNumber(key, value);
  }

  flag(key: string): boolean | null {
    const value = this.option(key);
    if (value === null) return null;
    if (value !== 'true' && value !== 'false') throw this.error(`${key} is true or false`);
    return value === 'true';
  }

  /** Everything must have been taken. */
  finish(takesInput: boolean): void {
    const left = [...this.#words, ...this.#options.keys()];
    if (left.length > 0) throw this.error(`unknown argument ${left.join(', ')}`);
    if (!takesInput && this.input.length > 0) throw this.error('takes no input');
  }

  #toNumber(name: string, text: string): number {
    const value = Number(text);
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) throw this.error(`${name} is a number, not "${text}"`);
    return value;
  }
}

/** Splits at blanks, but not inside of parentheses. */
function tokens(directive: string): string[] {
  return directive.match(/(?:\([^)]*\)|[^\s(])+/g) ?? [];
}

function listOf(value: string): string[] {
  if (!value.startsWith('(')) return [value];
  return value
    .slice(1, -1)
    .split(/[\s,]+/)
    .filter((item) => item !== '');
}
