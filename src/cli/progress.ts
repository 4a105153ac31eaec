/**
 * Progress of a job that is waited for: a bar that redraws itself on a terminal, and elsewhere one line for each step
 * worth telling, so that the log of a CI run stays short.
 */
import type { JobJson } from '../http/job-json.ts';
import type { Output } from './io.ts';
import { percentOf, plainText, renderRate, renderSeconds, renderState } from './render.ts';

const BAR_WIDTH = 30;
/** Steps of a plain log: 20 lines for a whole job. */
const PLAIN_STEPS = 20;
/** Of a terminal that does not say. */
const COLUMNS_DEFAULT = 80;
const CLEAR_LINE = '\r\u001b[2K';

export interface ProgressView {
  show(job: JobJson): void;
  /** Leaves the last bar standing and ends its line. */
  end(): void;
}

export function createProgressView(output: Output, coloured: boolean): ProgressView {
  return output.isTTY === true ? barView(output, coloured) : plainView(output);
}

export function progressText(job: JobJson, coloured: boolean): string {
  const { done, total, failed, uncertain, reexecuted } = job.progress;
  const notes = [
    failed > 0 ? `${failed} failed` : '',
    uncertain > 0 ? `${uncertain} uncertain` : '',
    reexecuted > 0 ? `${reexecuted} may have run again` : '',
    plainText(job.reason ?? ''),
  ].filter((note) => note !== '');
  const counts = `${renderState(job.state, coloured)} ${percentOf(job)} ${done}/${total}`;
  // What is over has no speed and no end to come.
  const speed = job.finishedAt === null ? [`${renderRate(job)} eta ${renderSeconds(job.progress.etaSeconds)}`] : [];
  return [counts, ...speed, ...notes].join('  ');
}

function barView(output: Output, coloured: boolean): ProgressView {
  let drawn = false;
  return {
    show(job) {
      drawn = true;
      output.write(`${CLEAR_LINE}${fitted(job, output.columns ?? COLUMNS_DEFAULT, coloured)}`);
    },
    end() {
      if (drawn) output.write('\n');
    },
  };
}

/** One line, never more: a line that wraps cannot be drawn over. */
function fitted(job: JobJson, columns: number, coloured: boolean): string {
  const plain = `${bar(job)} ${progressText(job, false)}`;
  if (plain.length < columns) return `${bar(job)} ${progressText(job, coloured)}`;
  return progressText(job, false).slice(0, Math.max(1, columns - 1));
}

function bar(job: JobJson): string {
  const { done, failed, uncertain, total } = job.progress;
  const filled = Math.floor(((done + failed + uncertain) / total) * BAR_WIDTH);
  return `[${'#'.repeat(filled)}${'-'.repeat(BAR_WIDTH - filled)}]`;
}

function plainView(output: Output): ProgressView {
  let last = '';
  return {
    show(job) {
      const { done, failed, uncertain, total } = job.progress;
      const step = Math.floor(((done + failed + uncertain) / total) * PLAIN_STEPS);
      const key = `${job.state} ${step} ${job.reason ?? ''}`;
      if (key === last) return;
      last = key;
      output.write(`${progressText(job, false)}\n`);
    },
    end() {},
  };
}
