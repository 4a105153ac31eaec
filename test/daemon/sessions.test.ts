import { expect, test } from 'vitest';
import { type Session, Sessions, type Verdict } from '../../src/daemon/sessions.ts';

const TTL = 4_000;

function open(quarters = 0): { readonly sessions: Sessions; readonly session: Session } {
  const sessions = new Sessions(TTL);
  return { sessions, session: sessions.open('w1', 7, 0, quarters) };
}

/** Judges like a leader that can always propose. */
function carryOut(sessions: Sessions, now: number): string[] {
  return sessions.judge(now).map((verdict: Verdict) => {
    if (verdict.kind === 'expire') {
      verdict.session.expiring = true;
      return 'expire';
    }
    verdict.session.suspected = verdict.quarters;
    return `suspect ${verdict.quarters}`;
  });
}

test('a silent worker is suspected at each quarter of the TTL, and its session ends at the whole', () => {
  const { sessions } = open();
  const heard = [0, 999, 1_000, 1_001, 1_999, 2_000, 3_000, 3_999, 4_000, 5_000].map((now) => carryOut(sessions, now));
  expect(heard).toEqual([[], [], ['suspect 1'], [], [], ['suspect 2'], ['suspect 3'], [], ['expire'], []]);
});

test('a judge who comes late finds the whole silence at once', () => {
  expect(carryOut(open().sessions, 2_500)).toEqual(['suspect 2']);
  expect(carryOut(open().sessions, 9_000)).toEqual(['expire']);
});

test('a new leader counts the quarters that the log holds', () => {
  const { sessions } = open(3);
  expect(carryOut(sessions, 999)).toEqual([]);
  expect(carryOut(sessions, 1_000)).toEqual(['expire']);
});

test('a new leader without a word in the log gives the whole TTL', () => {
  const { sessions } = open(0);
  expect(carryOut(sessions, 3_999)).toEqual(['suspect 3']);
});

test('the silence of a stalled leader is not charged to its workers, and nobody is heard in the future', () => {
  const { sessions, session } = open();
  sessions.excuse(3_500, 4_200);
  expect(session.lastHeardAt).toBe(3_500);
  expect(carryOut(sessions, 4_200)).toEqual([]);
  sessions.excuse(60_000, 5_000);
  expect(session.lastHeardAt).toBe(5_000);
});

test('the end of a former incarnation leaves the session of the present one alone', () => {
  const { sessions } = open();
  sessions.open('w1', 9, 0, 0);
  sessions.close('w1', 7);
  expect(sessions.get('w1')?.incarnation).toBe(9);
  sessions.close('w1', 9);
  expect(sessions.get('w1')).toBeUndefined();
});

test('an inherited session was not heard by this leader', () => {
  expect(open().session.heard).toBe(false);
});
