/**
 * Script: the text of a scenario, cut into blocks and put together again.
 *
 * A block is one directive line, perhaps lines of input, a line `----`, and the output that is expected, up to a blank
 * line. Comments begin with `#` and stand before a directive. Whatever is not output survives a rewrite untouched, so that the
 * diff of a rewritten file shows behaviour and nothing else.
 *
 * Invariant: printing a parsed script with the outputs that it expects gives back the same text.
 */

/** What is wrong with a scenario, and where. */
export class ScenarioError extends Error {
  override readonly name = 'ScenarioError';

  constructor(line: number, what: string, options?: ErrorOptions) {
    super(`line ${line}: ${what}`, options);
  }
}

export interface Block {
  /** Line number of the directive, from 1. */
  readonly line: number;
  /** Comments and blank lines before the directive. */
  readonly lead: readonly string[];
  readonly directive: string;
  readonly input: readonly string[];
}

export interface Script {
  readonly blocks: readonly Block[];
  /** Comments after the last block. */
  readonly tail: readonly string[];
}

const SEPARATOR = '----';

/** @throws ScenarioError when a directive has no `----`. */
export function parseScript(text: string): Script {
  const lines = text.replace(/\n+$/, '').split('\n');
  const blocks: Block[] = [];
  let lead: string[] = [];
  let at = 0;
  while (at < lines.length) {
    const directive = lines[at++]!;
    if (isBlank(directive) || directive.startsWith('#')) {
      lead.push(directive);
      continue;
    }
    const line = at;
    const input: string[] = [];
    while (lines[at] !== SEPARATOR) {
      const next = lines[at++];
      if (next === undefined || isBlank(next)) throw new ScenarioError(line, `no ${SEPARATOR} after "${directive}"`);
      input.push(next);
    }
    at++;
    while (at < lines.length && !isBlank(lines[at]!)) at++;
    blocks.push({ line, lead, directive, input });
    lead = [];
  }
  return { blocks, tail: lead };
}

/** The script with these outputs, one for each block. */
export function printScript(script: Script, outputs: readonly string[]): string {
  const lines = script.blocks.flatMap(({ lead, directive, input }, position) => {
    return [...lead, directive, ...input, SEPARATOR, outputs[position]!];
  });
  return `${[...lines, ...script.tail].join('\n')}\n`;
}

function isBlank(line: string): boolean {
  return line.trim() === '';
}
