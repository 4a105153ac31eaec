import { describe, expect, it } from 'vitest';
import { JOB_LOG_LINE_MAX } from '../../src/base/limits.ts';
import { Cell } from '../../src/jobtype/cell.ts';
import { monotonicMs } from '../../src/jobtype/deadline.ts';
import { LineLimiter, LineSplitter } from '../../src/jobtype/lines.ts';

describe('a cell', () => {
  it('shows to one side what the other wrote', () => {
    const host = Cell.create(-5, -5, Number.MAX_SAFE_INTEGER, Number.POSITIVE_INFINITY);
    const thread = new Cell(host.buffer);
    expect([thread.cursor, thread.begun, thread.committed, thread.stopped]).toEqual([-5, -5, -5, false]);
    thread.begin(Number.MAX_SAFE_INTEGER);
    thread.acknowledge(Number.MAX_SAFE_INTEGER);
    thread.waiting = true;
    expect([host.cursor, host.begun, host.waiting]).toEqual([Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, true]);
    host.stop();
    expect(thread.stopped).toBe(true);
  });

  it('refuses to acknowledge what was not handed out', () => {
    const cell = Cell.create(0, 0, 10, Number.POSITIVE_INFINITY);
    cell.begin(3);
    expect(() => cell.acknowledge(4)).toThrow('only points that were handed out are acknowledged');
  });

  it('never gives up what is begun, and begins nothing that it gave up', () => {
    const host = Cell.create(0, 100, 100, Number.POSITIVE_INFINITY);
    const thread = new Cell(host.buffer);
    expect(thread.begin(40)).toBe(true);
    expect(host.keepHalf()).toBe(70);
    expect(thread.begin(71)).toBe(false);
    expect(host.begun).toBe(40);
    expect(thread.begin(70)).toBe(true);
    expect(host.keepHalf()).toBe(70);
  });

  it('stops at its deadline by the clock alone, and goes on when it is moved', () => {
    const cell = Cell.create(0, 0, 10, monotonicMs() - 1);
    expect(cell.stopped).toBe(true);
    cell.moveDeadline(monotonicMs() + 60_000);
    expect(cell.stopped).toBe(false);
  });
});

describe('lines', () => {
  it('come whole, however they were cut on the way, and the last needs no end', () => {
    const lines: string[] = [];
    const splitter = new LineSplitter((line) => lines.push(line));
    const bytes = Buffer.from('grün\nweiß\n\nrot');
    for (const byte of bytes) splitter.write(Buffer.of(byte));
    splitter.end();
    expect(lines).toEqual(['grün', 'weiß', '', 'rot']);
  });

  it('a line without an end keeps no more than its head', () => {
    const lines: string[] = [];
    const limiter = new LineLimiter(10, (line) => lines.push(line));
    const splitter = new LineSplitter((line) => limiter.line(line));
    for (let count = 0; count < 100; count += 1) splitter.write(Buffer.alloc(1_000, 'x'));
    splitter.write(Buffer.from('\n'));
    expect(lines).toEqual([`${'x'.repeat(JOB_LOG_LINE_MAX)}…`]);
  });

  it('beyond the rate are counted instead', () => {
    const lines: string[] = [];
    const limiter = new LineLimiter(2, (line) => lines.push(line));
    for (const line of ['a', 'b', 'c', 'd', 'e']) limiter.line(line);
    limiter.end();
    expect(lines).toEqual(['a', 'b', '(3 lines dropped: more than 2 a second)']);
  });
});
