import { expect, test } from 'vitest';
import { parseCron } from '../../src/base/cron.ts';

const at = (text: string) => Date.parse(text);
const iso = (time: number | null) => (time === null ? null : new Date(time).toISOString());

test('five fields are due at whole minutes, six at whole seconds', () => {
  const minutes = parseCron('*/15 * * * *', 'UTC');
  expect(iso(minutes.next(at('2026-11-21T04:00:00Z')))).toBe('2026-11-21T04:15:00.000Z');
  const seconds = parseCron('*/10 * * * * *', 'UTC');
  expect(iso(seconds.next(at('2026-11-21T04:00:00.400Z')))).toBe('2026-11-21T04:00:10.000Z');
});

test('the next time lies behind the one asked from, also when that is due itself', () => {
  const hourly = parseCron('0 * * * *', 'UTC');
  expect(iso(hourly.next(at('2026-11-21T04:00:00Z')))).toBe('2026-11-21T05:00:00.000Z');
  expect(iso(hourly.next(at('2026-11-21T03:59:59.999Z')))).toBe('2026-11-21T04:00:00.000Z');
});

test('a time zone moves the day and follows its summer time', () => {
  const nightly = parseCron('0 3 * * *', 'Europe/Berlin');
  expect(iso(nightly.next(at('2026-01-10T12:00:00Z')))).toBe('2026-01-11T02:00:00.000Z');
  expect(iso(nightly.next(at('2026-07-10T12:00:00Z')))).toBe('2026-07-11T01:00:00.000Z');
});

test.each([
  ['', 'UTC'],
  ['nonsense', 'UTC'],
  ['61 * * * *', 'UTC'],
  ['* * * * * * *', 'UTC'],
  ['2026-11-21T04:00:00', 'UTC'],
  ['@reboot', 'UTC'],
  ['0 0 30 2 *', 'UTC'],
  ['* * * * *', 'Mars/Olympus'],
  [`${'*'.repeat(300)} * * * *`, 'UTC'],
])('"%s" in %s is refused', (text, timeZone) => {
  expect(() => parseCron(text, timeZone)).toThrow(expect.objectContaining({ code: 'BAD_OPTION' }));
});
