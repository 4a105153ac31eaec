/** The workers in Python of docs/guides/runners.md, as they stand there. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { must } from '../../src/base/assert.ts';

const GUIDE = fileURLToPath(new URL('../../docs/guides/runners.md', import.meta.url));

/** Why there is none to run it; null where there is one. */
export function pythonRefusal(): string | null {
  try {
    execFileSync('python3', ['--version'], { stdio: 'ignore' });
    return null;
  } catch (thrown) {
    return `python3 cannot be run here: ${(thrown as Error).message}`;
  }
}

export function pythonWorkers(): { readonly points: string; readonly rows: string } {
  const blocks = [...readFileSync(GUIDE, 'utf8').matchAll(/```python\n([\s\S]*?)```/g)].map(([, text]) => text);
  const points = must(blocks[0], 'the guide has a worker');
  const instead = must(blocks[1], 'and what takes the place of a part of it for rows');
  const [start, end] = [points.indexOf('def work('), points.indexOf('offers, lease')];
  return { points, rows: `${points.slice(0, start)}${instead}\n${points.slice(end)}` };
}
