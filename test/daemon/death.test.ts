import { describe, expect, test } from 'vitest';
import { DEATH_PROOF_MS } from '../../src/base/limits.ts';
import { DeathWatch } from '../../src/daemon/death.ts';
import { handEnv } from './fakes.ts';

function watch(listened = true) {
  const hand = handEnv();
  const dead: string[] = [];
  const deaths = new DeathWatch(
    hand.env,
    () => listened,
    (worker) => void dead.push(worker),
  );
  return { ...hand, dead, watch: deaths };
}

describe('a death is proved', () => {
  test('by refusals on our own host that go on for half a second', () => {
    const { watch: deaths, network, time, dead } = watch();
    network.probeOutcome = 'refused';
    deaths.lost('w1', 'here:1');
    time.pass(DEATH_PROOF_MS - 1);
    expect(dead).toEqual([]);
    time.pass(1);
    expect(dead).toEqual(['w1']);
    time.pass(5_000);
    expect(dead).toEqual(['w1']);
  });

  test('never on another host', () => {
    const { watch: deaths, network, time, dead } = watch();
    network.probeOutcome = 'refused';
    deaths.lost('w1', 'there:1');
    time.pass(5_000);
    expect(dead).toEqual([]);
  });

  test('not at an address where nobody was ever seen to listen', () => {
    const { watch: deaths, network, time, dead } = watch(false);
    network.probeOutcome = 'refused';
    deaths.lost('w1', 'here:1');
    time.pass(5_000);
    expect(dead).toEqual([]);
  });

  test('not by refusals between which somebody listened, or nobody knew', () => {
    for (const outcome of ['open', 'unknown'] as const) {
      const { watch: deaths, network, time, dead } = watch();
      network.probeOutcome = 'refused';
      deaths.lost('w1', 'here:1');
      time.pass(DEATH_PROOF_MS - 50);
      network.probeOutcome = outcome;
      time.pass(100);
      network.probeOutcome = 'refused';
      time.pass(DEATH_PROOF_MS - 50);
      expect(dead).toEqual([]);
      time.pass(200);
      expect(dead).toEqual(['w1']);
    }
  });

  test('not by a single refusal that took long to be heard, for a stall of ours lies between', () => {
    const { watch: deaths, network, time, dead } = watch();
    deaths.lost('w1', 'here:1');
    time.stall(2 * DEATH_PROOF_MS);
    network.probes.shift()?.done('refused');
    expect(dead).toEqual([]);
  });

  test('not when the worker came back, nor after its session ended', () => {
    const { watch: deaths, network, time, dead } = watch();
    network.probeOutcome = 'refused';
    deaths.lost('w1', 'here:1');
    time.pass(DEATH_PROOF_MS - 50);
    deaths.forget('w1');
    time.pass(5_000);
    expect(dead).toEqual([]);
  });

  test('not by a probe of an earlier loss', () => {
    const { watch: deaths, network, time, dead } = watch();
    deaths.lost('w1', 'here:1');
    const early = network.probes.shift();
    deaths.forget('w1');
    deaths.lost('w1', 'here:1');
    early?.done('refused');
    time.pass(5_000);
    expect(network.probes).toHaveLength(1);
    expect(dead).toEqual([]);
  });
});

test('a watch that is closed probes no more', () => {
  const { watch: deaths, network, time, dead } = watch();
  network.probeOutcome = 'refused';
  deaths.lost('w1', 'here:1');
  deaths.close();
  time.pass(5_000);
  expect(dead).toEqual([]);
});

test('losing a worker twice does not probe it twice', () => {
  const { watch: deaths, network } = watch();
  deaths.lost('w1', 'here:1');
  deaths.lost('w1', 'here:1');
  expect(network.probes).toHaveLength(1);
});
