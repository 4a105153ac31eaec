/**
 * However many looks wait, the event loop is never theirs for long.
 */
import { describe, expect, test } from 'vitest';
import { LOOKS_TURN_MS, READS_WAITING_MAX } from '../../src/base/limits.ts';
import { Turnstile } from '../../src/http/turnstile.ts';

function busyFor(milliseconds: number): void {
  const until = performance.now() + milliseconds;
  while (performance.now() < until);
}

describe('a turnstile', () => {
  test('lets others have a turn between costly looks', async () => {
    const turnstile = new Turnstile();
    const order: string[] = [];
    const looks = [1, 2, 3].map((number) =>
      turnstile.run(() => {
        busyFor(LOOKS_TURN_MS + 1);
        order.push(`look ${number}`);
        setImmediate(() => order.push('somebody else'));
        return number;
      }),
    );
    expect(await Promise.all(looks)).toEqual([1, 2, 3]);
    expect(order.slice(0, 4)).toEqual(['look 1', 'somebody else', 'look 2', 'somebody else']);
  });

  test('lets cheap looks pass together', async () => {
    const turnstile = new Turnstile();
    let turns = 0;
    const count = (): void => {
      turns++;
      immediate = setImmediate(count);
    };
    let immediate = setImmediate(count);
    await Promise.all(Array.from({ length: 500 }, () => turnstile.run(() => null)));
    clearImmediate(immediate);
    expect(turns).toBeLessThan(250);
  });

  test('hands what a look throws to its asker, and goes on', async () => {
    const turnstile = new Turnstile();
    const thrown = turnstile.run(() => {
      throw new Error('no such job');
    });
    const next = turnstile.run(() => 'next');
    await expect(thrown).rejects.toThrow('no such job');
    expect(await next).toBe('next');
    expect(await turnstile.run(() => 'later')).toBe('later');
  });

  test('refuses beyond its bound', async () => {
    const turnstile = new Turnstile();
    const first = turnstile.run(() => busyFor(LOOKS_TURN_MS));
    const waiting = Array.from({ length: READS_WAITING_MAX }, () => turnstile.run(() => null));
    await expect(turnstile.run(() => null)).rejects.toMatchObject({ code: 'OVERLOADED' });
    await Promise.all([first, ...waiting]);
    expect(await turnstile.run(() => 'again')).toBe('again');
  });
});
