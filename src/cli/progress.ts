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
  const { done, total, failed, reexecuted } = job.progress;
  const notes = [
    failed > 0 ? `${failed} failed` : '',
    reexecuted > 0 ? `${reexecuted} may have run again` : '',
    plainText(job.reason ?? ''),
  ].filter((note) => note !== '');
  const counts = `${renderState(job.state, coloured)} ${percentOf(job)} ${done}/${total}`;
  const speed = `${renderRate(job)} eta ${renderSeconds(job.progress.etaSeconds)}`;
  return [counts, speed, ...notes].join('  ');
}

function barView(output: Output, coloured: boolean): ProgressView {
  let drawn = false;
  return {
    show(job) {
      drawn = true;
      output.write(`${CLEAR_LINE}${bar(job)} ${progressText(job, coloured)}`);
    },
    end() {
      if (drawn) output.write('\n');
    },
  };
}

function bar(job: JobJson): string {
  const { done, failed, total } = job.progress;
  const filled = Math.floor(((done + failed) / total) * BAR_WIDTH);
  return `[${'#'.repeat(filled)}${'-'.repeat(BAR_WIDTH - filled)}]`;
}

function plainView(output: Output): ProgressView {
  let last = '';
  return {
    show(job) {
      const { done, failed, total } = job.progress;
      const step = Math.floor(((done + failed) / total) * PLAIN_STEPS);
      const key = `${job.state} ${step} ${job.reason ?? ''}`;
      if (key === last) return;
      last = key;
      output.write(`${progressText(job, false)}\n`);
    },
    end() {},
  };
}
