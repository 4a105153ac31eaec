/**
 * Every command line that a page or a job type shows is one that the command line takes: its commands, its options, and how
 * many words stand behind them. None of them is run.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { errorText } from '../../src/base/errors.ts';
import { dashesWrittenOut } from '../../src/cli/command.ts';
import { createParser } from '../../src/cli/main.ts';

const ROOT = resolve(import.meta.dirname ?? '.', '../..');

interface Shown {
  readonly where: string;
  readonly words: readonly string[];
  /** It stands in a sentence, which may name a command without what belongs behind it. */
  readonly isMention: boolean;
}

function filesIn(folder: string, ending: string): string[] {
  const names = readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' });
  return names.filter((name) => name.endsWith(ending)).map((name) => join(folder, name));
}

/** Words of each command of a piece of shell, without quotes and comments. */
function commandsIn(shell: string): string[][] {
  const commands: string[][] = [[]];
  let word: string | null = null;
  const endWord = () => {
    if (word !== null) commands.at(-1)?.push(word);
    word = null;
  };
  for (const [token] of shell.matchAll(/\\\n|'[^']*'|"[^"]*"|(?<=^|\s)#.*|[\n;|&()]|\s|[^\s'"\\;|&()]+|\\./gm)) {
    if (token.startsWith('#')) continue;
    if (/^(\\?\s)$/.test(token) && token !== '\n') endWord();
    else if (/^[\n;|&()]$/.test(token)) {
      endWord();
      commands.push([]);
    } else word = (word ?? '') + (/^['"]/.test(token) ? token.slice(1, -1) : token);
  }
  endWord();
  return commands;
}

function shownIn(where: string, shell: string, isMention: boolean): Shown[] {
  const ours = commandsIn(shell).filter(([program]) => program === 'polaris');
  return ours.map(([, ...words]) => ({ where, words: words.filter((word) => word !== '…'), isMention }));
}

function shownOnPage(page: string): Shown[] {
  const text = readFileSync(join(ROOT, page), 'utf8');
  const blocks = [...text.matchAll(/^ *```(\w*)[^\n]*\n(.*?)^ *```/gms)];
  const sentences = text.replaceAll(/^ *```.*?^ *```/gms, '');
  return [
    ...blocks.flatMap(([, language, shell = '']) => (language === 'sh' ? shownIn(page, shell, false) : [])),
    ...[...sentences.matchAll(/`(polaris [^`]*)`/g)].flatMap(([, shell = '']) => shownIn(page, shell, true)),
  ];
}

/** Job types show in their headers how they are submitted. */
function shownInHeader(file: string): Shown[] {
  const lines = readFileSync(join(ROOT, file), 'utf8').matchAll(/^ \* {5}(polaris .*)$/gm);
  return [...lines].flatMap(([, shell = '']) => shownIn(file, shell, false));
}

/** Null when it is taken. */
async function refusalOf({ words, isMention }: Shown): Promise<string | null> {
  // One for each: a parser keeps what it has learnt of the command that it met.
  const parser = createParser({ stdout: { write: () => {}, isTTY: false, columns: 120 } }, async () => {});
  try {
    await parser.parseAsync(dashesWrittenOut(words), {}, () => {});
    return null;
  } catch (thrown) {
    const said = errorText(thrown);
    return isMention && /Missing: |needs a value|Missing required/.test(said) ? null : said;
  }
}

test('all of them are taken', async () => {
  const pages = ['README.md', 'CONTRIBUTING.md', ...filesIn('docs', '.md')];
  const shown = [...pages.flatMap(shownOnPage), ...filesIn('jobs', 'index.ts').flatMap(shownInHeader)];
  expect(shown.length).toBeGreaterThan(80);
  const refused: string[] = [];
  for (const one of shown) {
    const refusal = await refusalOf(one);
    if (refusal !== null) refused.push(`${one.where}: polaris ${one.words.join(' ')}: ${refusal}`);
  }
  expect(refused).toEqual([]);
});
