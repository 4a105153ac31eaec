import { describe, expect, test } from 'vitest';
import { ERRORS } from '../../src/base/errors.ts';
import { STATE_HASHES_KEPT } from '../../src/base/limits.ts';
import { StateHashes } from '../../src/daemon/state-hash.ts';

const VOTERS = ['n1', 'n2', 'n3'];

function hashesOf(id: string): { hashes: StateHashes; told: object[] } {
  const told: object[] = [];
  const say = (fields: object, event: string): void => void told.push({ event, ...fields });
  return { hashes: new StateHashes({ id, log: { debug: say, info: say, warn: say, error: say } }), told };
}

describe('state hashes', () => {
  test('equal ones stop nobody, in whatever order they come', () => {
    const { hashes, told } = hashesOf('n1');
    expect(hashes.heard('n2', 10, 'a', VOTERS)).toBeNull();
    expect(hashes.own(10, 'a', VOTERS)).toBeNull();
    expect(hashes.heard('n3', 10, 'a', VOTERS)).toBeNull();
    expect(told).toEqual([]);
  });

  test('a node stops when a majority agrees on another hash, whether its own came first or last', () => {
    const first = hashesOf('n1').hashes;
    first.own(10, 'mine', VOTERS);
    expect(first.heard('n2', 10, 'a', VOTERS)).toBeNull();
    const error = first.heard('n3', 10, 'a', VOTERS);
    expect(error?.code).toBe('STATE_DIVERGED');
    expect(error?.detail).toContain('at index 10 the job table of n1 has the hash mine, that of n2, n3 a');
    expect(error?.detail).toContain('join under a new id');
    const last = hashesOf('n1').hashes;
    last.heard('n2', 10, 'a', VOTERS);
    last.heard('n3', 10, 'a', VOTERS);
    expect(last.own(10, 'mine', VOTERS)?.code).toBe('STATE_DIVERGED');
    expect(ERRORS.STATE_DIVERGED.exit).toBe(70);
  });

  test('two of five that speak are no majority, and three are', () => {
    const voters = ['n1', 'n2', 'n3', 'n4', 'n5'];
    const { hashes } = hashesOf('n1');
    hashes.own(10, 'mine', voters);
    expect(hashes.heard('n2', 10, 'a', voters)).toBeNull();
    expect(hashes.heard('n3', 10, 'a', voters)).toBeNull();
    expect(hashes.heard('n4', 10, 'b', voters)).toBeNull();
    expect(hashes.heard('n5', 10, 'a', voters)?.code).toBe('STATE_DIVERGED');
  });

  test('the majority logs who differs, once an index', () => {
    const { hashes, told } = hashesOf('n1');
    hashes.own(10, 'a', VOTERS);
    hashes.heard('n2', 10, 'a', VOTERS);
    hashes.heard('n3', 10, 'b', VOTERS);
    hashes.heard('n3', 10, 'b', VOTERS);
    expect(told).toEqual([{ event: 'state-differs', index: 10, own: 'a', differing: ['n3'], theirs: 'b' }]);
  });

  test('two voters that differ stop neither: there is no majority', () => {
    const { hashes, told } = hashesOf('n1');
    hashes.own(10, 'a', ['n1', 'n2']);
    expect(hashes.heard('n2', 10, 'b', ['n1', 'n2'])).toBeNull();
    expect(told).toHaveLength(1);
  });

  test('a learner stops against the majority of the voters, and its own word counts for nobody', () => {
    const learner = hashesOf('n4').hashes;
    learner.own(10, 'mine', VOTERS);
    learner.heard('n1', 10, 'a', VOTERS);
    expect(learner.heard('n2', 10, 'a', VOTERS)?.code).toBe('STATE_DIVERGED');
    const voter = hashesOf('n1').hashes;
    voter.own(10, 'mine', VOTERS);
    voter.heard('n2', 10, 'a', VOTERS);
    expect(voter.heard('n4', 10, 'a', VOTERS)).toBeNull();
  });

  test('hashes of different indexes are never compared', () => {
    const { hashes, told } = hashesOf('n1');
    hashes.own(10, 'a', VOTERS);
    hashes.heard('n2', 20, 'b', VOTERS);
    expect(hashes.heard('n3', 20, 'b', VOTERS)).toBeNull();
    expect(told).toEqual([]);
  });

  test('a node that lags is still compared, unless it lags behind everything that is kept', () => {
    const { hashes } = hashesOf('n1');
    for (let index = 1; index <= STATE_HASHES_KEPT; index++) {
      hashes.heard('n2', index, 'a', VOTERS);
      hashes.heard('n3', index, 'a', VOTERS);
    }
    expect(hashes.own(1, 'mine', VOTERS)?.code).toBe('STATE_DIVERGED');
    hashes.heard('n2', STATE_HASHES_KEPT + 1, 'a', VOTERS);
    expect(hashes.own(1, 'mine', VOTERS)).toBeNull();
    expect(hashes.own(2, 'mine', VOTERS)?.code).toBe('STATE_DIVERGED');
  });
});
