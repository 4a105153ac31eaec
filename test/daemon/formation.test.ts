import { describe, expect, test } from 'vitest';
import type { NodeConfig } from '../../src/daemon/env.ts';
import { admitBeforeFormation, admitToCluster, admitTtl, found } from '../../src/daemon/formation.ts';
import { foundingRoster, Roster } from '../../src/daemon/roster.ts';
import { configurationOf } from '../../src/raft/configuration.ts';
import type { Formation } from '../../src/store/types.ts';
import { helloOf, peersOf } from './fakes.ts';

function configOf(id: string, changes: Partial<NodeConfig> = {}): NodeConfig {
  return {
    id,
    address: `there:${id}`,
    role: 'voter',
    peers: peersOf('n1', 'n2', 'n3'),
    join: [],
    slots: 0,
    sessionTtlMs: 5_000,
    ...changes,
  };
}

const CLUSTER = '00000000-0000-4000-8000-00000000000c';
const OTHER = '00000000-0000-4000-8000-00000000000d';
const EMPTIES = new Map([
  ['n2', 'i-n2'],
  ['n3', 'i-n3'],
]);
const FORMATION: Formation = {
  clusterId: CLUSTER,
  members: ['n1', 'n2', 'n3'].map((id) => ({ id, instanceId: `i-${id}`, address: `there:${id}` })),
};

describe('founding', () => {
  test('the record binds every id to its data directory, in id order', () => {
    expect(found(configOf('n1'), 'i-n1', EMPTIES, () => CLUSTER)).toEqual(FORMATION);
  });

  test('nobody founds while a peer has not said that it is empty', () => {
    expect(found(configOf('n1'), 'i-n1', new Map([['n2', 'i-n2']]), () => CLUSTER)).toBeNull();
  });

  test('only the first id founds, however the flags are ordered', () => {
    const peers = peersOf('n3', 'n2', 'n1');
    const empties = new Map([...EMPTIES, ['n1', 'i-n1']]);
    expect(found(configOf('n2', { peers }), 'i-n2', empties, () => CLUSTER)).toBeNull();
    expect(found(configOf('n1', { peers }), 'i-n1', EMPTIES, () => CLUSTER)).toEqual(FORMATION);
  });

  test('a worker founds nothing', () => {
    expect(found(configOf('n1', { role: 'worker' }), 'i-n1', EMPTIES, () => CLUSTER)).toBeNull();
  });
});

test('voters that judge sessions differently are refused; a worker follows its leader', () => {
  expect(admitTtl(configOf('n1'), helloOf({ nodeId: 'n2' }))).toBeNull();
  expect(admitTtl(configOf('n1'), helloOf({ nodeId: 'n2', sessionTtlMs: 60_000 }))?.code).toBe('CONFIG_MISMATCH');
  expect(admitTtl(configOf('n1'), helloOf({ nodeId: 'w', role: 'worker', sessionTtlMs: 60_000 }))).toBeNull();
});

describe('who is admitted to a cluster', () => {
  const roster = new Roster();
  roster.restore(foundingRoster(FORMATION.members));
  const admit = (changes: Parameters<typeof helloOf>[0]) =>
    admitToCluster(CLUSTER, roster, helloOf(changes))?.code ?? null;

  test('its members, formed or not yet', () => {
    expect(admit({ nodeId: 'n2' })).toBeNull();
    expect(admit({ nodeId: 'n2', clusterId: CLUSTER })).toBeNull();
  });

  test('no voter that it does not name, unless it asks to be taken in or comes from an entry that we lack', () => {
    expect(admit({ nodeId: 'n4' })).toBe('STRANGER');
    expect(admit({ nodeId: 'n4', joining: true })).toBeNull();
    expect(admit({ nodeId: 'n4', clusterId: CLUSTER })).toBeNull();
  });

  test('nobody whom it has removed, however he comes', () => {
    const remove = { transition: 'auto' as const, changes: [{ kind: 'remove' as const, id: 'n3' }] };
    roster.apply({ change: remove, newcomers: [] }, configurationOf(['n1', 'n2']));
    expect(admit({ nodeId: 'n3', clusterId: CLUSTER })).toBe('REMOVED');
    expect(admit({ nodeId: 'n3', joining: true })).toBe('REMOVED');
    roster.restore(foundingRoster(FORMATION.members));
  });

  test('nobody of another cluster', () => {
    expect(admit({ nodeId: 'n2', clusterId: OTHER })).toBe('CLUSTER_MISMATCH');
    expect(admit({ nodeId: 'w1', role: 'worker', clusterId: OTHER })).toBe('CLUSTER_MISMATCH');
  });

  test('no wiped disk under the id of a member', () => {
    expect(admit({ nodeId: 'n2', instanceId: 'wiped' })).toBe('INSTANCE_MISMATCH');
  });

  test('any worker, but not under the id of a voter', () => {
    expect(admit({ nodeId: 'w1', role: 'worker' })).toBeNull();
    expect(admit({ nodeId: 'n2', role: 'worker' })).toBe('STRANGER');
  });
});

describe('who is admitted before there is a cluster', () => {
  const admit = (config: NodeConfig, clusterId: string | null, changes: Parameters<typeof helloOf>[0]) =>
    admitBeforeFormation(config, clusterId, helloOf(changes))?.code ?? null;

  test('the peers of the flags, and nobody else', () => {
    expect(admit(configOf('n1'), null, { nodeId: 'n2' })).toBeNull();
    expect(admit(configOf('n1'), null, { nodeId: 'n4' })).toBe('STRANGER');
  });

  test('a worker that came too early is asked to try again', () => {
    expect(admit(configOf('n1'), null, { nodeId: 'w1', role: 'worker' })).toBe('NO_LEADER');
    expect(admit(configOf('n1'), null, { nodeId: 'n4', joining: true })).toBe('NO_LEADER');
  });

  test('a worker talks to voters of its own cluster only', () => {
    const worker = configOf('w1', { role: 'worker', peers: [] });
    expect(admit(worker, null, { nodeId: 'n1', clusterId: CLUSTER })).toBeNull();
    expect(admit(worker, CLUSTER, { nodeId: 'n1', clusterId: CLUSTER })).toBeNull();
    expect(admit(worker, CLUSTER, { nodeId: 'n1', clusterId: OTHER })).toBe('CLUSTER_MISMATCH');
    expect(admit(worker, null, { nodeId: 'w2', role: 'worker' })).toBe('STRANGER');
  });
});
