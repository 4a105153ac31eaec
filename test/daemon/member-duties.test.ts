import { describe, expect, test } from 'vitest';
import type { PolarisError } from '../../src/base/errors.ts';
import { CAUGHT_UP_ENTRIES } from '../../src/base/limits.ts';
import type { Done } from '../../src/daemon/api.ts';
import { MemberDuties } from '../../src/daemon/member-duties.ts';
import { type MemberChange, Roster, type RosterMember } from '../../src/daemon/roster.ts';
import { configurationOf } from '../../src/raft/configuration.ts';
import type { Configuration, MemberProgress, RaftStatus, TransferResult } from '../../src/raft/types.ts';
import type { EnlistMessage } from '../../src/wire/messages.ts';
import { helloOf } from './fakes.ts';

const COMMIT = 1_000;
const ALIVE: MemberProgress = {
  match: COMMIT,
  next: COMMIT + 1,
  state: 'replicate',
  recentActive: true,
  pendingSnapshot: null,
  regressed: false,
};

function memberOf(id: string, promote = true): RosterMember {
  return { id, instanceId: `i-${id}`, address: `there:${id}`, promote };
}

/** The duties of a leader n1, over a replica that the test holds in its hand. */
class Duties {
  readonly roster = new Roster();
  readonly progress = new Map<string, MemberProgress>();
  readonly proposed: MemberChange[] = [];
  readonly sent: { readonly to: string; readonly message: EnlistMessage }[] = [];
  configuration: Configuration;
  commitIndex = COMMIT;
  transferResult: TransferResult = { ok: true };
  readonly duties: MemberDuties;
  readonly #answers: Done<void>[] = [];
  #now = 0;

  constructor(voters: readonly string[], learners: readonly string[] = []) {
    this.configuration = configurationOf(voters, learners);
    this.#apply({
      change: { transition: 'auto', changes: [] },
      newcomers: [...voters, ...learners].map((id) => memberOf(id)),
    });
    for (const id of [...voters, ...learners]) this.progress.set(id, ALIVE);
    this.duties = new MemberDuties({
      replica: {
        roster: this.roster,
        raft: { transferLeadership: () => this.transferResult },
        status: () => this.#status(),
        proposeMembers: (change, done) => {
          this.proposed.push(change);
          this.#answers.push(done);
        },
      },
      clusterId: 'the-cluster',
      send: (to, message) => void this.sent.push({ to, message }),
    });
  }

  is(id: string, changes: Partial<MemberProgress>): void {
    this.progress.set(id, { ...ALIVE, ...changes });
  }

  /** The change that was proposed first is in force. */
  commit(configuration: Configuration): void {
    this.configuration = configuration;
    const change = this.proposed.shift();
    if (change !== undefined) this.#apply(change);
    this.#answers.shift()?.({ ok: true, value: undefined });
  }

  fail(error: PolarisError): void {
    this.proposed.shift();
    this.#answers.shift()?.({ ok: false, error });
  }

  tick(): void {
    this.#now += 1_000;
    this.duties.tick(this.#now);
  }

  /** What was asked of the core, in short. */
  get changes(): string[] {
    return this.proposed.flatMap(({ change }) => change.changes.map(({ kind, id }) => `${kind} ${id}`));
  }

  #apply(change: MemberChange): void {
    this.roster.apply(change, this.configuration);
  }

  #status(): RaftStatus {
    const { configuration, progress } = this;
    return { id: 'n1', role: 'leader', commit: this.commitIndex, configuration, progress } as unknown as RaftStatus;
  }
}

/** Asks, and gives the answer; undefined while there is none. */
function ask(run: (done: Done<void>) => void): { readonly answer: string | undefined } {
  const box: { answer: string | undefined } = { answer: undefined };
  run((result) => {
    box.answer = result.ok ? 'ok' : `${result.error.code}: ${result.error.detail}`;
  });
  return box;
}

describe('taking a node in', () => {
  test('makes it a learner, bound to its data directory, and answers when that is in force', () => {
    const leader = new Duties(['n1']);
    const asked = ask((done) => leader.duties.add(memberOf('n4'), done));
    expect(leader.proposed).toEqual([
      { change: { transition: 'auto', changes: [{ kind: 'add-learner', id: 'n4' }] }, newcomers: [memberOf('n4')] },
    ]);
    expect(asked.answer).toBeUndefined();
    leader.commit(configurationOf(['n1'], ['n4']));
    expect(asked.answer).toBe('ok');
  });

  test('is no news for a member that asks again under its own data directory', () => {
    const leader = new Duties(['n1', 'n4']);
    expect(ask((done) => leader.duties.add(memberOf('n4'), done)).answer).toBe('ok');
    expect(leader.proposed).toEqual([]);
  });

  test('is refused under an id that is bound to another data directory', () => {
    const leader = new Duties(['n1', 'n4']);
    const wiped = { ...memberOf('n4'), instanceId: 'i-new' };
    expect(ask((done) => leader.duties.add(wiped, done)).answer).toBe(
      'INSTANCE_MISMATCH: the id "n4" is bound to another data directory',
    );
    expect(leader.proposed).toEqual([]);
  });

  test('is refused under an id that was removed once', () => {
    const leader = new Duties(['n1', 'n4']);
    leader.duties.remove('n4', () => {});
    leader.commit(configurationOf(['n1']));
    expect(ask((done) => leader.duties.add(memberOf('n4'), done)).answer).toBe(
      'BAD_MEMBERSHIP: "n4" was removed once; a node that comes back needs a new id',
    );
  });

  test('goes on while a minority is dead: a learner costs no quorum', () => {
    const leader = new Duties(['n1', 'n2', 'n3']);
    leader.is('n3', { recentActive: false });
    leader.duties.add(memberOf('n4'), () => {});
    expect(leader.changes).toEqual(['add-learner n4']);
  });

  test('is answered to the node that asked by message: yes, or no for good, and silence while it may try again', () => {
    const leader = new Duties(['n1', 'n5']);
    const enlist = (nodeId: string, instanceId = `i-${nodeId}`) =>
      leader.duties.enlist(helloOf({ nodeId, instanceId, joining: true }), false);
    enlist('n4');
    expect(leader.proposed[0]?.newcomers).toEqual([memberOf('n4', false)]);
    leader.fail({ code: 'MEMBERSHIP_BUSY', detail: '', row: { retry: true } } as unknown as PolarisError);
    expect(leader.sent).toEqual([]);
    enlist('n4');
    leader.commit(configurationOf(['n1', 'n5'], ['n4']));
    enlist('n5', 'i-wiped');
    expect(leader.sent).toMatchObject([
      { to: 'n4', message: { type: 'enlisted', clusterId: 'the-cluster' } },
      { to: 'n5', message: { type: 'enlist-refused', code: 'INSTANCE_MISMATCH' } },
    ]);
  });
});

describe('a vote', () => {
  test('is given by itself to a learner that has caught up, once', () => {
    const leader = new Duties(['n1'], ['n4']);
    leader.tick();
    leader.tick();
    expect(leader.changes).toEqual(['add-voter n4']);
    leader.commit(configurationOf(['n1', 'n4']));
    leader.tick();
    expect(leader.changes).toEqual([]);
  });

  test('waits until the learner is near, is heard, and has kept what it acknowledged', () => {
    const leader = new Duties(['n1', 'n2', 'n3'], ['n4']);
    const unfit: Partial<MemberProgress>[] = [
      { match: COMMIT - CAUGHT_UP_ENTRIES - 1 },
      { recentActive: false },
      { regressed: true },
    ];
    for (const changes of unfit) {
      leader.is('n4', changes);
      leader.tick();
      expect(leader.changes).toEqual([]);
    }
    leader.is('n4', { match: COMMIT - CAUGHT_UP_ENTRIES });
    leader.tick();
    expect(leader.changes).toEqual(['add-voter n4']);
  });

  test('waits for a first acknowledgement, however short the log: the learner may not even live', () => {
    const leader = new Duties(['n1'], ['n4']);
    leader.commitIndex = 3;
    leader.is('n4', { match: 0 });
    leader.tick();
    const asked = ask((done) => leader.duties.promote('n4', done));
    expect(asked.answer).toBe('BAD_MEMBERSHIP: "n4" has not caught up: it has 0 of 3 entries');
    leader.is('n4', { match: 1 });
    leader.tick();
    expect(leader.changes).toEqual(['add-voter n4']);
  });

  test('is tried again after a change that did not come through', () => {
    const leader = new Duties(['n1'], ['n4']);
    leader.tick();
    leader.fail({ code: 'MEMBERSHIP_BUSY' } as unknown as PolarisError);
    leader.tick();
    expect(leader.changes).toEqual(['add-voter n4']);
  });

  test('is not given by itself to one that joined to stay a learner, but on demand', () => {
    const leader = new Duties(['n1']);
    leader.duties.add(memberOf('n4', false), () => {});
    leader.commit(configurationOf(['n1'], ['n4']));
    leader.is('n4', {});
    leader.tick();
    expect(leader.changes).toEqual([]);
    leader.duties.promote('n4', () => {});
    expect(leader.changes).toEqual(['add-voter n4']);
  });

  test('is no news for a voter, and nothing for a stranger', () => {
    const leader = new Duties(['n1', 'n2']);
    expect(ask((done) => leader.duties.promote('n2', done)).answer).toBe('ok');
    expect(ask((done) => leader.duties.promote('n9', done)).answer).toBe('BAD_MEMBERSHIP: "n9" is not a member');
  });

  test('is refused while so many voters are dead that the larger cluster would stop', () => {
    const leader = new Duties(['n1', 'n2', 'n3', 'n5'], ['n4']);
    leader.is('n2', { recentActive: false });
    leader.is('n3', { recentActive: false });
    expect(ask((done) => leader.duties.promote('n4', done)).answer).toBeUndefined();
    leader.is('n5', { recentActive: false });
    expect(ask((done) => leader.duties.promote('n4', done)).answer).toBe(
      'BAD_MEMBERSHIP: of the 5 voters that there would be, 2 answer and 3 are needed: the cluster would stop',
    );
  });
});

describe('removing', () => {
  test('a live voter is refused while it is needed, and the dead one is not', () => {
    const leader = new Duties(['n1', 'n2', 'n3']);
    leader.is('n3', { recentActive: false });
    expect(ask((done) => leader.duties.remove('n2', done)).answer).toBe(
      'BAD_MEMBERSHIP: of the 2 voters that there would be, 1 answer and 2 are needed: the cluster would stop',
    );
    leader.duties.remove('n3', () => {});
    expect(leader.changes).toEqual(['remove n3']);
  });

  test('the leader is possible while the others can go on', () => {
    const leader = new Duties(['n1', 'n2', 'n3']);
    leader.duties.remove('n1', () => {});
    expect(leader.changes).toEqual(['remove n1']);
    leader.is('n3', { recentActive: false });
    expect(ask((done) => leader.duties.remove('n1', done)).answer).toContain('the cluster would stop');
  });

  test('the last voter is refused', () => {
    const leader = new Duties(['n1'], ['n4']);
    expect(ask((done) => leader.duties.remove('n1', done)).answer).toBe(
      'BAD_MEMBERSHIP: the last voter cannot be removed',
    );
  });

  test('a learner is always possible', () => {
    const leader = new Duties(['n1', 'n2', 'n3'], ['n4']);
    leader.is('n3', { recentActive: false });
    leader.duties.remove('n4', () => {});
    expect(leader.changes).toEqual(['remove n4']);
  });

  test('again is no news, and a stranger is refused', () => {
    const leader = new Duties(['n1', 'n2', 'n3']);
    leader.duties.remove('n2', () => {});
    leader.commit(configurationOf(['n1', 'n3']));
    expect(ask((done) => leader.duties.remove('n2', done)).answer).toBe('ok');
    expect(ask((done) => leader.duties.remove('n9', done)).answer).toBe('BAD_MEMBERSHIP: "n9" is not a member');
  });
});

test('a transfer is begun, or refused with its reason', () => {
  const leader = new Duties(['n1', 'n2']);
  const answers = (
    [
      { ok: true },
      { ok: false, reason: 'leads-already' },
      { ok: false, reason: 'not-a-voter' },
      { ok: false, reason: 'transferring' },
      { ok: false, reason: 'not-leader' },
    ] as const
  ).map((result) => {
    leader.transferResult = result;
    return ask((done) => leader.duties.transfer('n2', done)).answer?.split(':')[0];
  });
  expect(answers).toEqual(['ok', 'ok', 'BAD_MEMBERSHIP', 'MEMBERSHIP_BUSY', 'NO_LEADER']);
});

test('a member that lost what it had acknowledged is expelled, again and again', () => {
  const leader = new Duties(['n1', 'n2', 'n3']);
  leader.is('n2', { regressed: true });
  leader.tick();
  leader.tick();
  expect(leader.sent).toMatchObject([
    { to: 'n2', message: { type: 'expelled', code: 'LOG_DAMAGED' } },
    { to: 'n2', message: { type: 'expelled', code: 'LOG_DAMAGED' } },
  ]);
  expect(JSON.stringify(leader.sent)).toContain('join under a new id');
});
