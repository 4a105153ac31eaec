import { expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import { Answered } from '../../src/daemon/answered.ts';
import { handEnv } from './fakes.ts';

function open() {
  const hand = handEnv();
  return { network: hand.network, answered: new Answered(hand.env) };
}

test('a node that listens where it says is known by that address, and by no other', () => {
  const { network, answered } = open();
  network.probeOutcome = 'open';
  answered.connected('w1', 'here:1');
  answered.disconnected('w1');
  expect(answered.has('w1', 'here:1')).toBe(true);
  expect(answered.has('w1', 'here:2')).toBe(false);
  expect(answered.has('w2', 'here:1')).toBe(false);
});

test.each(['refused', 'unknown'] as const)(
  'an address that was %s while its node was connected proves nothing',
  (outcome) => {
    const { network, answered } = open();
    network.probeOutcome = outcome;
    answered.connected('w1', 'here:1');
    expect(answered.has('w1', 'here:1')).toBe(false);
  },
);

test('an answer that comes after the connection is gone may be that of another', () => {
  const { network, answered } = open();
  answered.connected('w1', 'here:1');
  answered.disconnected('w1');
  must(network.probes.shift(), 'it was probed').done('open');
  expect(answered.has('w1', 'here:1')).toBe(false);
});

test('an address of another host is not probed, and a known one is not probed again', () => {
  const { network, answered } = open();
  answered.connected('w1', 'there:1');
  expect(network.probes).toEqual([]);
  answered.connected('w2', 'here:2');
  must(network.probes.shift(), 'it was probed').done('open');
  answered.disconnected('w2');
  answered.connected('w2', 'here:2');
  expect(network.probes).toEqual([]);
});
