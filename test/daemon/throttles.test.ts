import { expect, test } from 'vitest';
import { THROTTLE_HOLD_MS_MAX, THROTTLES_ASKING_MAX } from '../../src/base/limits.ts';
import { createPrng } from '../../src/base/prng.ts';
import { Throttles } from '../../src/daemon/throttles.ts';
import { jobId, Pen } from '../ranges/fixtures.ts';
import { answered, HandProbe, HandTime } from './fakes.ts';

const INTERVAL = 1_000;
const throttle = { kind: 'url', url: 'http://db/', intervalMs: INTERVAL } as const;
const GO = answered(200);
const HOLD = answered(503);

/** The throttles of a leader, over jobs of a table. */
class Gate {
  readonly time = new HandTime();
  readonly probe = new HandProbe();
  readonly pen = new Pen();
  readonly changed: string[] = [];
  readonly idle = new Set<string>();
  readonly throttles = new Throttles({
    clock: this.time,
    prng: createPrng(1),
    probe: this.probe,
    changed: (job) => void this.changed.push(job),
  });

  submit(id = jobId(1)): void {
    this.pen.submit({ id, options: { throttle } });
    this.throttles.follow(this.pen.job(id));
  }

  /** Lets time pass in ticks; gives how many questions were asked meanwhile. */
  pass(ms: number): number {
    const before = this.probe.asked.length;
    for (let left = ms; left > 0; left -= 20) {
      this.time.pass(Math.min(20, left));
      this.tick();
    }
    return this.probe.asked.length - before;
  }

  tick(): void {
    this.throttles.tick((job) => this.idle.has(job));
  }

  hold(): string | null {
    return this.throttles.hold(jobId(1));
  }
}

test('a job is held until its hook has said go, and is asked about at once', () => {
  const gate = new Gate();
  gate.submit();
  expect(gate.hold()).toMatch(/^held by the throttle: .*not answered/);
  gate.tick();
  gate.tick();
  expect(gate.probe.asked).toHaveLength(1);
  gate.probe.reply(GO);
  expect(gate.hold()).toBeNull();
  expect(gate.changed).toEqual([jobId(1)]);
});

test('a job without a hook is never held', () => {
  const gate = new Gate();
  gate.pen.submit();
  gate.throttles.follow(gate.pen.job());
  gate.tick();
  expect(gate.probe.asked).toEqual([]);
  expect(gate.hold()).toBeNull();
});

test('while it says go it is asked every interval, and nobody hears of it', () => {
  const gate = new Gate();
  gate.submit();
  gate.tick();
  gate.probe.reply(GO);
  expect(gate.pass(INTERVAL - 20)).toBe(0);
  expect(gate.pass(20)).toBe(1);
  gate.probe.reply(GO);
  expect(gate.changed).toHaveLength(1);
});

test('a hold says why, comes at once, and ends with the next go', () => {
  const gate = new Gate();
  gate.submit();
  gate.tick();
  gate.probe.reply(GO);
  gate.pass(INTERVAL);
  gate.probe.reply(answered(503, 'replica lag'));
  expect(gate.hold()).toBe('held by the throttle: it answered 503: replica lag');
  expect(gate.changed).toHaveLength(2);
  gate.pass(INTERVAL);
  gate.probe.reply(GO);
  expect(gate.hold()).toBeNull();
  expect(gate.changed).toHaveLength(3);
});

test('the longer it says hold, the more seldom it is asked, up to a bound; then it starts anew', () => {
  const gate = new Gate();
  gate.submit();
  gate.tick();
  const gaps: number[] = [];
  for (let holds = 0; holds < 12; holds++) {
    gate.probe.reply(HOLD);
    const from = gate.time.now();
    while (gate.pass(20) === 0);
    gaps.push(gate.time.now() - from);
  }
  for (const [holds, gap] of gaps.entries()) {
    const full = Math.min(INTERVAL * 2 ** holds, THROTTLE_HOLD_MS_MAX);
    expect(gap).toBeGreaterThanOrEqual(full / 2);
    expect(gap).toBeLessThanOrEqual(full + 20);
  }
  gate.probe.reply(GO);
  expect(gate.pass(INTERVAL)).toBe(1);
  gate.probe.reply(HOLD);
  expect(gate.pass(INTERVAL)).toBe(1);
});

test('a hook that cannot be reached holds, too', () => {
  const gate = new Gate();
  gate.submit();
  gate.tick();
  gate.probe.reply({ kind: 'unreachable', why: 'connect ECONNREFUSED' });
  expect(gate.hold()).toBe('held by the throttle: it cannot be asked: connect ECONNREFUSED');
});

test('a paused job is not asked about, and is asked about anew when it goes on', () => {
  const gate = new Gate();
  gate.submit();
  gate.tick();
  gate.probe.reply(GO);
  gate.pen.control('pause');
  gate.throttles.follow(gate.pen.job());
  expect(gate.pass(5 * INTERVAL)).toBe(0);
  gate.pen.control('resume');
  gate.throttles.follow(gate.pen.job());
  expect(gate.hold()).not.toBeNull();
  expect(gate.pass(20)).toBe(1);
});

test('an answer about a job that is gone is nobody’s', () => {
  const gate = new Gate();
  gate.submit();
  gate.tick();
  gate.throttles.forget(jobId(1));
  gate.probe.reply(GO);
  expect(gate.changed).toEqual([]);
});

test('a job that waits for something else is not asked about', () => {
  const gate = new Gate();
  gate.idle.add(jobId(1));
  gate.submit();
  expect(gate.pass(INTERVAL)).toBe(0);
  gate.idle.clear();
  expect(gate.pass(20)).toBe(1);
});

test('no more hooks are asked at a time than the limit, and each has its turn', () => {
  const gate = new Gate();
  const jobs = THROTTLES_ASKING_MAX + 5;
  for (let number = 1; number <= jobs; number++) gate.submit(jobId(number));
  gate.tick();
  expect(gate.probe.asked).toHaveLength(THROTTLES_ASKING_MAX);
  for (let turns = 0; turns < jobs; turns++) {
    if (gate.probe.asked.length > 0) gate.probe.reply(GO);
    gate.tick();
  }
  expect(new Set(gate.changed).size).toBe(jobs);
});
