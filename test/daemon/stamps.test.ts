import { expect, test } from 'vitest';
import { Stamps } from '../../src/daemon/stamps.ts';
import { Pen } from '../ranges/fixtures.ts';
import { handEnv } from './fakes.ts';

test('stamps start at the wall clock and follow the monotonic one', () => {
  const { env, time } = handEnv();
  let wall = 5_000_000;
  const stamps = new Stamps({ ...env, clock: { now: () => time.now(), wall: () => wall } }, new Pen().table);
  expect(stamps.next()).toBe(5_000_000);
  wall = 1;
  time.stall(250.7);
  expect(stamps.next()).toBe(5_000_250);
});

test('stamps never go back behind what the table shows, and a clock that is far behind is reported', () => {
  const { env, lines } = handEnv();
  const pen = new Pen();
  pen.at = env.clock.wall() + 3_600_000;
  pen.submit();
  const stamps = new Stamps(env, pen.table);
  expect(stamps.next()).toBe(pen.at);
  expect(lines.map((line) => line.event)).toEqual(['clock-behind-the-log']);
});

test('a clock that is a little behind is nobody’s concern', () => {
  const { env, lines } = handEnv();
  const pen = new Pen();
  pen.at = env.clock.wall() + 59_000;
  pen.submit();
  expect(new Stamps(env, pen.table).next()).toBe(pen.at);
  expect(lines).toEqual([]);
});
