/**
 * Every scenario in data/ gives the transcript that stands in its file. `REWRITE=1 npx vitest run test/scenarios` writes
 * what is given now; the diff is then to be read, and kept only by someone who can say why each line of it changed.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { BROKEN_RULES } from './broken-rules.ts';
import { runScenario } from './run.ts';
import { VERBS } from './verbs.ts';

const FOLDER = import.meta.dirname;
const DATA = join(FOLDER, 'data');
const isRewriting = process.env['REWRITE'] === '1';

const names = readdirSync(DATA).filter((name) => name.endsWith('.txt'));

describe('scenarios', () => {
  test.each(names)('%s', (name) => {
    const path = join(DATA, name);
    const text = readFileSync(path, 'utf8');
    const transcript = runScenario(text);
    if (isRewriting) writeFileSync(path, transcript);
    else expect(transcript).toBe(text);
  });

  test.each(names)('%s says first what it shows', (name) => {
    expect(readFileSync(join(DATA, name), 'utf8')).toMatch(/^# [A-Z].*\n(# .*\n)*\n/);
  });

  test('every verb is used by a scenario and described in the README', () => {
    const readme = readFileSync(join(FOLDER, 'README.md'), 'utf8');
    const scenarios = names.map((name) => readFileSync(join(DATA, name), 'utf8')).join('\n');
    for (const verb of VERBS.keys()) {
      expect(readme).toContain(`\`${verb}`);
      expect(scenarios).toMatch(new RegExp(`^${verb}( |$)`, 'm'));
    }
  });
});

describe('a broken rule changes a transcript', () => {
  test.each(BROKEN_RULES)('$name: $scenario', ({ scenario, install }) => {
    const text = readFileSync(join(DATA, `${scenario}.txt`), 'utf8');
    const straighten = install();
    try {
      expect(outcomeOf(text)).not.toBe(text);
    } finally {
      straighten();
    }
    expect(outcomeOf(text)).toBe(text);
  });
});

/** The transcript, or the invariant that stopped it. */
function outcomeOf(text: string): string {
  try {
    return runScenario(text);
  } catch (error) {
    return String(error);
  }
}

describe('mistakes in a scenario', () => {
  const SETUP = 'add-nodes 3 voters=(1,2,3)\n----\nok\n\n';

  test.each([
    ['an unknown verb', 'elect 1\n----\n', 'line 5: unknown verb elect'],
    ['an unknown option', 'stabilize deep=true\n----\n', 'line 5: stabilize: unknown argument deep'],
    ['a word too many', 'campaign 1 2\n----\n', 'line 5: campaign: unknown argument 2'],
    ['a missing word', 'campaign\n----\n', 'line 5: campaign: the node is missing'],
    ['an unknown node', 'campaign 7\n----\n', 'line 5: campaign: no node 7'],
    ['input that is not taken', 'campaign 1\nv2\n----\n', 'line 5: campaign: takes no input'],
    ['a directive without an end', 'campaign 1\n', 'line 5: no ---- after "campaign 1"'],
    ['a number that is none', 'tick 1 many\n----\n', 'line 5: tick: the number of ticks is a number, not "many"'],
    ['an unknown message type', 'deliver-msgs 1 type=MsgNo\n----\n', 'line 5: deliver-msgs: no message type MsgNo'],
  ])('%s is an error with its line', (_, block, message) => {
    expect(() => runScenario(SETUP + block)).toThrow(message);
  });

  test('comments, blank lines and input survive a rewrite', () => {
    const text = `# One.\n\n${SETUP}# Two.\nraft-state\n----\nwrong\n\n# Three.\n`;
    const rewritten = runScenario(text);
    expect(rewritten).not.toContain('wrong');
    expect(rewritten.startsWith(`# One.\n\n${SETUP}# Two.\nraft-state\n----\n1: StateFollower`)).toBe(true);
    expect(rewritten.endsWith('\n\n# Three.\n')).toBe(true);
    expect(runScenario(rewritten)).toBe(rewritten);
  });
});
