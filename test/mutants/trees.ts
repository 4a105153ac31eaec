/**
 * Trees: copies of the source tree, for mutants to be put into. The tree itself is only read, and read once: work on it
 * may go on meanwhile.
 *
 * Invariant: everything lies in one new directory, and that goes when the run ends.
 */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { edited, type Mutant } from './mutant.ts';

const ROOT = resolve(import.meta.dirname, '../..');
/** Too large to copy, or of no use to a test. The modules are linked. */
const LEFT_OUT = ['node_modules', 'dist', 'coverage', '.git'];

export class Trees {
  readonly #directory: string;
  /** As the tree was when the run began. */
  readonly pristine: string;

  constructor() {
    this.#directory = mkdtempSync(join(tmpdir(), 'polaris-mutants-'));
    this.pristine = join(this.#directory, 'pristine');
    mkdirSync(this.pristine);
    for (const name of readdirSync(ROOT)) {
      if (!LEFT_OUT.includes(name)) cpSync(join(ROOT, name), join(this.pristine, name), { recursive: true });
    }
    linkModules(this.pristine);
  }

  /** A copy with the bug in it. @throws Error when the mutant does not fit. */
  mutated({ row, edits }: Mutant): string {
    const tree = mkdtempSync(join(this.#directory, `row-${row}-`));
    cpSync(this.pristine, tree, {
      recursive: true,
      filter: (source) => source !== join(this.pristine, 'node_modules'),
    });
    linkModules(tree);
    for (const edit of edits) {
      const path = join(tree, edit.file);
      writeFileSync(path, edited(readFileSync(path, 'utf8'), edit));
    }
    return tree;
  }

  drop(tree: string): void {
    rmSync(tree, { recursive: true, force: true });
  }

  close(): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

function linkModules(tree: string): void {
  symlinkSync(join(ROOT, 'node_modules'), join(tree, 'node_modules'), 'dir');
}
