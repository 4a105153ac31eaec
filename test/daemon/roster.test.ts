import { describe, expect, test } from 'vitest';
import { REMOVED_MEMBERS_MAX } from '../../src/base/limits.ts';
import {
  decodeImage,
  decodeMemberChange,
  encodeImage,
  encodeMemberChange,
  foundingRoster,
  type MemberChange,
  Roster,
  type RosterMember,
} from '../../src/daemon/roster.ts';
import { configurationOf } from '../../src/raft/configuration.ts';
import { encodeCommand } from '../../src/ranges/codec.ts';
import type { Command } from '../../src/ranges/types.ts';

function memberOf(id: string, changes: Partial<RosterMember> = {}): RosterMember {
  return { id, instanceId: `i-${id}`, address: `there:${id}`, promote: false, ...changes };
}

function added(...members: readonly RosterMember[]): MemberChange {
  const changes = members.map(({ id }) => ({ kind: 'add-learner', id }) as const);
  return { change: { transition: 'auto', changes }, newcomers: members };
}

function removed(...ids: readonly string[]): MemberChange {
  return { change: { transition: 'auto', changes: ids.map((id) => ({ kind: 'remove', id })) }, newcomers: [] };
}

function founded(...ids: readonly string[]): Roster {
  const roster = new Roster();
  roster.restore(foundingRoster(ids.map((id) => memberOf(id))));
  return roster;
}

describe('the roster', () => {
  test('has equal bytes whatever the way that led to its members', () => {
    const one = founded('n1');
    one.apply(added(memberOf('n2')), configurationOf(['n1'], ['n2']));
    one.apply(added(memberOf('n3')), configurationOf(['n1'], ['n2', 'n3']));
    const other = founded('n1');
    other.apply(added(memberOf('n3')), configurationOf(['n1'], ['n3']));
    other.apply(added(memberOf('n2')), configurationOf(['n1'], ['n2', 'n3']));
    expect(one.snapshot()).toEqual(other.snapshot());
    expect(one.members().map(({ id }) => id)).toEqual(['n1', 'n2', 'n3']);
  });

  test('is whole after a snapshot: members, whether they are to be promoted, and who was removed', () => {
    const roster = founded('n1', 'n2', 'n3');
    roster.apply(added(memberOf('n4', { promote: true })), configurationOf(['n1', 'n2', 'n3'], ['n4']));
    roster.apply(removed('n2'), configurationOf(['n1', 'n3'], ['n4']));
    const again = new Roster();
    again.restore(roster.snapshot());
    expect(again.members()).toEqual(roster.members());
    expect(again.get('n4')?.promote).toBe(true);
    expect([again.wasRemoved('n2'), again.wasRemoved('n3')]).toEqual([true, false]);
    expect(again.snapshot()).toEqual(roster.snapshot());
  });

  test('keeps the data directory that an id was first bound to', () => {
    const roster = founded('n1', 'n2');
    roster.apply(added(memberOf('n2', { instanceId: 'another' })), configurationOf(['n1', 'n2']));
    expect(roster.get('n2')?.instanceId).toBe('i-n2');
  });

  test('keeps whoever is named by either half of a joint configuration', () => {
    const roster = founded('n1', 'n2');
    roster.apply(removed('n2'), { ...configurationOf(['n1']), votersOutgoing: ['n1', 'n2'] });
    expect(roster.get('n2')).toBeDefined();
    roster.apply({ change: { transition: 'auto', changes: [] }, newcomers: [] }, configurationOf(['n1']));
    expect(roster.get('n2')).toBeUndefined();
    expect(roster.wasRemoved('n2')).toBe(true);
  });

  test('forgets the first of those who were removed when they become too many', () => {
    const roster = founded('n1');
    for (let number = 1; number <= REMOVED_MEMBERS_MAX + 1; number++) {
      roster.apply(added(memberOf(`old-${number}`)), configurationOf(['n1'], [`old-${number}`]));
      roster.apply(removed(`old-${number}`), configurationOf(['n1']));
    }
    expect([roster.wasRemoved('old-1'), roster.wasRemoved('old-2')]).toEqual([false, true]);
    expect(roster.wasRemoved(`old-${REMOVED_MEMBERS_MAX + 1}`)).toBe(true);
  });

  test('does not take a configuration that names somebody it has never heard of', () => {
    expect(() => founded('n1').apply(removed(), configurationOf(['n1', 'n9']))).toThrow('stands in the roster');
  });
});

describe('an entry that changes the membership', () => {
  test('comes back as it went', () => {
    const changes: MemberChange[] = [
      added(memberOf('n4', { promote: true })),
      removed('n1'),
      { change: { transition: 'joint-implicit', changes: [{ kind: 'add-voter', id: 'n4' }] }, newcomers: [] },
      {
        change: {
          transition: 'joint-explicit',
          changes: [
            { kind: 'add-voter', id: 'n4' },
            { kind: 'remove', id: 'n1' },
          ],
        },
        newcomers: [memberOf('n4')],
      },
      { change: { transition: 'auto', changes: [] }, newcomers: [] },
    ];
    for (const change of changes) expect(decodeMemberChange(encodeMemberChange(change))).toEqual(change);
  });

  test('is never taken for a command, nor a command for it', () => {
    const command: Command = {
      kind: 'control-job',
      at: 1,
      id: '0b5b8a0e-5d0c-4f2a-9b6f-2f6f2f1f8c11',
      action: 'pause',
    };
    expect(decodeMemberChange(encodeCommand(command))).toBeNull();
    expect(decodeMemberChange(new Uint8Array(0))).toBeNull();
    for (let first = 0; first < 256; first++) {
      // No value of MessagePack begins with the byte that is left over, and every command is such a value.
      if (first !== 0xc1) expect(decodeMemberChange(Uint8Array.of(first, 0x93, 0, 0x90, 0x90))).toBeNull();
    }
  });

  test('of a kind that this version does not know is damage, and not a guess', () => {
    const unknown = encodeMemberChange({ change: { transition: 'auto', changes: [] }, newcomers: [] });
    unknown[2] = 9;
    expect(() => decodeMemberChange(unknown)).toThrow(expect.objectContaining({ code: 'LOG_DAMAGED' }));
  });
});

describe('the image of a snapshot', () => {
  test('gives back the roster and the table, byte by byte', () => {
    const [roster, table] = [founded('n1').snapshot(), Uint8Array.of(1, 2, 3)];
    const image = decodeImage(encodeImage(roster, table));
    expect([...image.roster]).toEqual([...roster]);
    expect([...image.table]).toEqual([1, 2, 3]);
  });

  test('that is cut off is found out', () => {
    const image = encodeImage(founded('n1').snapshot(), new Uint8Array(0));
    for (const length of [0, 3, 4, image.length - 1]) {
      expect(() => decodeImage(image.slice(0, length))).toThrow(expect.objectContaining({ code: 'LOG_DAMAGED' }));
    }
  });
});
