import { describe, expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import type { NodeConfig } from '../../src/daemon/env.ts';
import { Membership } from '../../src/daemon/membership.ts';
import type { RosterMember } from '../../src/daemon/roster.ts';
import { MemoryDisk } from '../../src/store/memory.ts';
import type { Formation, StoreContents } from '../../src/store/types.ts';
import type { EnlistMessage, FormationMessage } from '../../src/wire/messages.ts';
import { type HandEnv, handEnv, helloOf, peersOf } from './fakes.ts';

const OTHER = '00000000-0000-4000-8000-00000000000d';

class Member {
  readonly hand: HandEnv;
  readonly membership: Membership;
  readonly sent: { readonly to: string; readonly message: FormationMessage | EnlistMessage }[] = [];
  roster: readonly RosterMember[] = [];
  readonly removed = new Set<string>();
  readonly formed: StoreContents[] = [];

  constructor(id: string, options: { disk?: MemoryDisk; config?: Partial<NodeConfig>; seed?: number } = {}) {
    const { disk = new MemoryDisk(), seed = 1 } = options;
    this.hand = handEnv({ disk, seed });
    this.membership = new Membership({
      env: this.hand.env,
      config: {
        id,
        address: `there:${id}`,
        role: 'voter',
        peers: peersOf('n1', 'n2', 'n3'),
        join: [],
        slots: 0,
        sessionTtlMs: 5_000,
        ...options.config,
      },
      contents: this.hand.contents,
      formed: (contents) => void this.formed.push(contents),
      roster: () => this.roster,
      wasRemoved: (id) => this.removed.has(id),
      send: (to, message) => void this.sent.push({ to, message }),
    });
    this.membership.start();
  }

  get formation(): Formation {
    return must(this.membership.formation, 'it is formed');
  }

  meet(...ids: readonly string[]): void {
    for (const id of ids) this.membership.connected(helloOf({ nodeId: id }));
    this.hand.time.settle();
  }

  take(type: FormationMessage['type']): string[] {
    const taken = this.sent.filter((one) => one.message.type === type);
    for (const one of taken) this.sent.splice(this.sent.indexOf(one), 1);
    return taken.map((one) => one.to);
  }
}

const WORKER = { role: 'worker', peers: [], join: ['there:n1'], slots: 1 } as const;

describe('forming', () => {
  test('happens when all peers are connected and empty, and the record is on disk before it is said', () => {
    const founder = new Member('n1');
    founder.meet('n2');
    expect(founder.membership.formation).toBeNull();
    founder.membership.connected(helloOf({ nodeId: 'n3' }));
    expect(founder.sent).toEqual([]);
    expect(founder.membership.formation).toBeNull();
    expect(founder.membership.hello().empty).toBe(false);
    founder.hand.time.settle();
    expect(founder.take('form')).toEqual(['n2', 'n3']);
    expect(founder.formed).toHaveLength(1);
    expect(founder.membership.hello().clusterId).toBe(founder.formation.clusterId);
  });

  test('does not happen while a peer is not empty', () => {
    const founder = new Member('n1');
    founder.membership.connected(helloOf({ nodeId: 'n3', empty: false, clusterId: OTHER }));
    founder.meet('n2');
    expect(founder.membership.formation).toBeNull();
  });

  test('does not happen with a peer that was empty and is gone', () => {
    const founder = new Member('n1');
    founder.meet('n2');
    founder.membership.disconnected('n2');
    founder.meet('n3');
    expect(founder.membership.formation).toBeNull();
    founder.meet('n2');
    expect(founder.membership.formation).not.toBeNull();
  });

  test('is not for others than the first id', () => {
    const second = new Member('n2');
    second.meet('n1', 'n3');
    expect(second.membership.formation).toBeNull();
  });

  test('names the peers that it waits for, after a while and again, until they are there', () => {
    const second = new Member('n2');
    const said = () => second.hand.lines.filter((one) => one.event === 'waiting-for-peers').map((one) => one.fields);
    const start = second.hand.time.now();
    second.membership.tick(start);
    expect(said()).toEqual([]);
    second.membership.tick(start + 5_000);
    second.membership.tick(start + 6_000);
    expect(said()).toEqual([{ missing: ['n1', 'n3'] }]);
    second.meet('n1');
    second.membership.tick(start + 10_000);
    expect(said().at(-1)).toEqual({ missing: ['n3'] });
    second.meet('n3');
    second.membership.tick(start + 15_000);
    expect(said()).toHaveLength(2);
  });

  test('a single voter forms a cluster of its own', () => {
    const alone = new Member('n1', { config: { peers: peersOf('n1') } });
    alone.hand.time.settle();
    expect(alone.formed).toHaveLength(1);
  });

  test('the record is offered again until each peer says that it holds it', () => {
    const founder = new Member('n1');
    founder.meet('n2', 'n3');
    founder.take('form');
    founder.membership.tick(founder.hand.time.now());
    expect(founder.take('form')).toEqual(['n2', 'n3']);
    founder.membership.message('n2', { type: 'formed' });
    founder.membership.tick(founder.hand.time.now());
    expect(founder.take('form')).toEqual([]);
    founder.membership.tick(founder.hand.time.now() + 1_000);
    expect(founder.take('form')).toEqual(['n3']);
    founder.membership.message('n3', { type: 'formed' });
    founder.membership.tick(founder.hand.time.now() + 9_000);
    expect(founder.take('form')).toEqual([]);
  });

  test('a restarted founder sends its record again and makes no other', () => {
    const disk = new MemoryDisk();
    const founder = new Member('n1', { disk });
    founder.meet('n2', 'n3');
    const { clusterId } = founder.formation;
    disk.crash();
    const again = new Member('n1', { disk, seed: 2 });
    expect(again.formation.clusterId).toBe(clusterId);
    again.meet('n2', 'n3');
    expect(again.formation.clusterId).toBe(clusterId);
    expect(again.take('form')).toEqual(['n2', 'n3']);
  });

  test('a founder that died before its write was durable may found again', () => {
    const disk = new MemoryDisk();
    const founder = new Member('n1', { disk });
    for (const nodeId of ['n2', 'n3']) founder.membership.connected(helloOf({ nodeId }));
    disk.crash('lost');
    founder.hand.time.settle();
    expect(founder.sent).toEqual([]);
    const again = new Member('n1', { disk, seed: 2 });
    again.meet('n2', 'n3');
    expect(again.formed).toHaveLength(1);
  });

  test('a record is taken by the data directory that it binds, synced, and said to be held', () => {
    const second = new Member('n2');
    const { instanceId } = second.hand.contents;
    const members = ['n1', 'n2', 'n3'].map((id) => ({
      id,
      instanceId: id === 'n2' ? instanceId : `i-${id}`,
      address: `there:${id}`,
    }));
    second.membership.message('n1', { type: 'form', formation: { clusterId: OTHER, members } });
    expect(second.formed).toEqual([]);
    second.hand.time.settle();
    expect(second.formed).toHaveLength(1);
    expect(second.take('formed')).toContain('n1');
    // And said again when it is offered again.
    second.membership.message('n1', { type: 'form', formation: { clusterId: OTHER, members } });
    expect(second.take('formed')).toEqual(['n1']);
    expect(second.formed).toHaveLength(1);
  });

  test('a record that binds another data directory is not taken, nor is one of a second cluster', () => {
    const second = new Member('n2');
    const members = ['n1', 'n2', 'n3'].map((id) => ({ id, instanceId: `i-${id}`, address: `there:${id}` }));
    second.membership.message('n1', { type: 'form', formation: { clusterId: OTHER, members } });
    second.hand.time.settle();
    expect(second.membership.formation).toBeNull();

    const founder = new Member('n1');
    founder.meet('n2', 'n3');
    const { clusterId } = founder.formation;
    founder.take('formed');
    const bound = founder.formation.members;
    founder.membership.message('n2', { type: 'form', formation: { clusterId: OTHER, members: bound } });
    founder.hand.time.settle();
    expect(founder.formation.clusterId).toBe(clusterId);
    expect(founder.take('formed')).toEqual([]);
  });

  test('a failed write of the record ends the node and tells nobody', () => {
    const disk = new MemoryDisk();
    const founder = new Member('n1', { disk });
    disk.failNextWrite('kept');
    founder.meet('n2', 'n3');
    expect(founder.hand.fatal).toMatchObject([{ code: 'DISK_FAILED' }]);
    expect(founder.sent).toEqual([]);
    expect(founder.formed).toEqual([]);
  });
});

describe('being refused', () => {
  test('a node whose disk was wiped ends at the first word of it', () => {
    const wiped = new Member('n2');
    wiped.membership.refused('there:n1', { code: 'INSTANCE_MISMATCH', detail: 'bound to another' });
    expect(wiped.hand.fatal).toMatchObject([{ code: 'INSTANCE_MISMATCH' }]);
  });

  test('a single stranger on a peer’s port stops nobody, but all of them do', () => {
    const node = new Member('n2');
    node.membership.refused('there:n1', { code: 'CLUSTER_MISMATCH', detail: 'another cluster' });
    expect(node.hand.fatal).toEqual([]);
    node.membership.refused('there:n3', { code: 'CLUSTER_MISMATCH', detail: 'another cluster' });
    expect(node.hand.fatal).toMatchObject([{ code: 'CLUSTER_MISMATCH' }]);
  });

  test('a refusal that time heals ends nobody', () => {
    const worker = new Member('w1', { config: WORKER });
    worker.membership.refused('there:n1', { code: 'NO_LEADER', detail: 'not formed yet' });
    expect(worker.hand.fatal).toEqual([]);
  });
});

describe('a worker', () => {
  const hello = (id: string, clusterId: string | null = OTHER) =>
    helloOf({ nodeId: id, clusterId, empty: false, members: peersOf('n1', 'n2', 'n3') });

  test('adopts the id of its cluster once, and has it after a restart', () => {
    const disk = new MemoryDisk();
    const worker = new Member('w1', { disk, config: WORKER });
    expect(worker.membership.hello().clusterId).toBeNull();
    worker.membership.connected(hello('n1', null));
    expect(worker.membership.hello().clusterId).toBeNull();
    worker.membership.connected(hello('n1'));
    worker.membership.connected(hello('n2', '00000000-0000-4000-8000-00000000000e'));
    worker.hand.time.settle();
    expect(worker.membership.clusterId).toBe(OTHER);
    disk.crash();
    expect(new Member('w1', { disk, config: WORKER }).membership.clusterId).toBe(OTHER);
  });

  test('dials the voters that it learns of, each once', () => {
    const worker = new Member('w1', { config: WORKER });
    worker.membership.connected(hello('n1'));
    worker.membership.connected(hello('n2'));
    expect(worker.hand.network.dialled).toEqual(['there:n1', 'there:n2', 'there:n3']);
    expect(worker.membership.addressOf('n3')).toBe('there:n3');
  });

  test('dials members that joined after it had connected, and takes them for its leaders', () => {
    const worker = new Member('w1', { config: WORKER });
    worker.membership.connected(hello('n1'));
    expect(worker.membership.heardOfLeader('n1', 'n4', 5, peersOf('n1', 'n4'))).toBe(true);
    expect(worker.hand.network.dialled).toEqual(['there:n1', 'there:n2', 'there:n3', 'there:n4']);
    expect(worker.membership.addressOf('n4')).toBe('there:n4');
  });

  test('takes the word of the leader on who the members are, and lets go of those that were removed', () => {
    const worker = new Member('w1', { config: WORKER });
    worker.membership.connected(hello('n1'));
    const known = () => worker.membership.members().map(({ id }) => id);
    expect(known()).toEqual(['n1', 'n2', 'n3']);
    worker.membership.heardOfLeader('n4', 'n4', 5, peersOf('n3', 'n4'));
    expect(known()).toEqual(['n3', 'n4']);
    // Somebody who has not heard of the removals, and a leader that is none any more.
    worker.membership.heardOfLeader('n3', 'n4', 5, peersOf('n1', 'n2', 'n3', 'n4'));
    worker.membership.heardOfLeader('n1', 'n1', 4, peersOf('n1', 'n2', 'n3'));
    expect(known()).toEqual(['n3', 'n4']);
    // They can be reached all the same: one of them may know who leads.
    expect(worker.hand.network.dialled).toContain('there:n2');
    worker.membership.heardOfLeader('n4', 'n4', 5, peersOf('n3', 'n4', 'n5'));
    expect(known()).toEqual(['n3', 'n4', 'n5']);
  });

  test('takes the word of the newest term on who leads', () => {
    const worker = new Member('w1', { config: WORKER });
    worker.membership.connected(hello('n1'));
    expect(worker.membership.guess).toBe('n1');
    expect(worker.membership.heardOfLeader('n1', 'n2', 5, [])).toBe(true);
    expect(worker.membership.heardOfLeader('n1', 'n3', 4, [])).toBe(false);
    expect(worker.membership.heardOfLeader('n1', null, 6, [])).toBe(false);
    expect(worker.membership.guess).toBe('n2');
  });

  test('tries the voters in turn when its leader is silent or gone', () => {
    const worker = new Member('w1', { config: WORKER });
    for (const id of ['n1', 'n2', 'n3']) worker.membership.connected(hello(id));
    const tried = [1, 2, 3].map(() => {
      worker.membership.nextGuess();
      return worker.membership.guess;
    });
    expect(tried).toEqual(['n2', 'n3', 'n1']);
    worker.membership.disconnected('n1');
    expect(worker.membership.guess).toBe('n2');
    worker.membership.disconnected('n2');
    worker.membership.disconnected('n3');
    expect(worker.membership.guess).toBeNull();
  });
});
