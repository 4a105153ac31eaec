/**
 * What was written by each version is read by this one, to the same values; and this one still writes what its version
 * number promises. When a test here turns red, the change that did it is a new protocol version, or a mistake.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { PROTOCOL, PROTOCOL_MIN } from '../../src/base/limits.ts';
import { openRecord } from '../../src/base/record.ts';
import { decodeBackup, restoreBatch, tableOf } from '../../src/daemon/backup.ts';
import { decodeMemberChange } from '../../src/daemon/roster.ts';
import { decodeCommand } from '../../src/ranges/codec.ts';
import { decodeFrame } from '../../src/wire/codec.ts';
import { normal } from '../wire/frames.ts';
import {
  BACKUP_AT,
  type GoldenFrames,
  KEEP_FROM,
  makeBackup,
  makeFrames,
  replay,
  SNAPSHOT_INDEX,
  TERM,
  viewOf,
} from './make.ts';
import { openGolden } from './open.ts';
import * as values from './values.ts';

const HERE = import.meta.dirname;
const WHY = 'a change of this file is a new protocol version';

function read<T>(version: number, name: string): T {
  return JSON.parse(readFileSync(join(HERE, `v${version}`, name), 'utf8')) as T;
}

function bytesOf(hex: string | undefined): Uint8Array {
  return new Uint8Array(Buffer.from(hex ?? '', 'hex'));
}

test('there are golden files of each version that is understood, and of no other', () => {
  const folders = readdirSync(HERE, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const versions = Array.from({ length: PROTOCOL - PROTOCOL_MIN + 1 }, (_, at) => `v${PROTOCOL_MIN + at}`);
  expect(folders.map((entry) => entry.name).sort()).toEqual(versions);
});

describe('the frames of this version', () => {
  const golden = read<GoldenFrames>(PROTOCOL, 'frames.json');
  const made = makeFrames();

  test('are all there: each message, each command, and nothing else', () => {
    expect(Object.keys(golden.frames).sort()).toEqual(
      ['hello', 'refusal', 'welcome', ...Object.keys(values.MESSAGES)].sort(),
    );
    expect(Object.keys(golden.commands).sort()).toEqual([...Object.keys(values.COMMANDS), 'member-change'].sort());
  });

  test.each(Object.keys(made.frames))('%s is written as it was', (name) => {
    expect(made.frames[name], WHY).toBe(golden.frames[name]);
  });

  test.each(Object.keys(made.commands))('the entry of a %s is written as it was', (kind) => {
    expect(made.commands[kind], WHY).toBe(golden.commands[kind]);
  });
});

describe('the frames of version 1', () => {
  const golden = read<GoldenFrames>(1, 'frames.json');

  test.each(Object.values(values.MESSAGES))('$type is read as it was meant', (message) => {
    const frame = decodeFrame(bytesOf(golden.frames[message.type]), values.ENDS);
    expect(normal(frame)).toEqual(normal({ kind: 'message', message }));
  });

  test('the greeting is read as it was meant', () => {
    const { hello, refusal, welcome } = golden.frames;
    expect(decodeFrame(bytesOf(hello), null)).toEqual({ kind: 'hello', hello: values.HELLO });
    expect(decodeFrame(bytesOf(refusal), null)).toEqual({ kind: 'refusal', refusal: values.REFUSAL });
    expect(decodeFrame(bytesOf(welcome), null)).toEqual({ kind: 'welcome' });
  });

  test.each(Object.values(values.COMMANDS))('a $kind is read as it was meant', (command) => {
    const payload = bytesOf(golden.commands[command.kind]);
    expect(decodeMemberChange(payload)).toBeNull();
    expect(decodeCommand(payload)).toEqual(command);
  });

  test('a change of the members is read as it was meant', () => {
    expect(decodeMemberChange(bytesOf(golden.commands['member-change']))).toEqual(values.MEMBER_CHANGE);
  });
});

describe('the data directory of version 1', () => {
  test('is opened whole: identity, formation, HardState, snapshot and the log behind it', async () => {
    const contents = await openGolden(join(HERE, 'v1'));
    const last = values.STORY.length + 1;
    expect(contents.clusterId).toBe(values.CLUSTER_ID);
    expect(contents.formation?.members.map(({ id, address }) => ({ id, address }))).toEqual(values.FORMATION.places);
    expect(contents.formation?.members[0]?.instanceId).toBe(contents.instanceId);
    expect(contents.hardState).toEqual({ term: TERM, vote: 'n1', commit: last - 1 });
    expect(contents.snapshot?.meta).toMatchObject({ index: SNAPSHOT_INDEX, term: TERM });
    expect(contents.entries.map((entry) => entry.index)).toEqual(
      Array.from({ length: last - KEEP_FROM + 1 }, (_, at) => KEEP_FROM + at),
    );
    for (const { index, record } of contents.entries) {
      const { payload } = openRecord(record);
      const told = values.STORY[index - 2] ?? null;
      const change = decodeMemberChange(payload);
      if (payload.length === 0) expect(told).toBeNull();
      else expect(change ?? decodeCommand(payload)).toEqual(told);
    }
  });

  test('comes to the same jobs, workers and members as it did then, and refuses nothing that it took then', async () => {
    const { table, roster, outcomes } = replay(await openGolden(join(HERE, 'v1')), Number.MAX_SAFE_INTEGER);
    expect(viewOf(table, roster.members()), WHY).toEqual(read(1, 'table.json'));
    expect(outcomes.filter((outcome) => outcome.kind === 'refused')).toEqual([]);
  });
});

describe('the backup of version 1', () => {
  test('is read whole, to the same jobs, and can be restored', () => {
    const { base64 } = read<{ readonly base64: string }>(1, 'backup.json');
    const backup = decodeBackup(Buffer.from(base64, 'base64'));
    const { jobs, appliedIndex } = read<{ readonly jobs: unknown; readonly appliedIndex: number }>(1, 'table.json');
    expect(backup).toMatchObject({ clusterId: values.CLUSTER_ID, index: appliedIndex, term: TERM, at: BACKUP_AT });
    expect(viewOf(tableOf(backup), [])).toMatchObject({ jobs, appliedIndex });
    const target = { clusterId: 'new', id: 'n1', instanceId: 'i', address: 'h:1', above: 0 };
    expect(restoreBatch(backup, target).snapshot?.meta.index).toBeGreaterThan(appliedIndex);
  });

  test('is written as it was', async () => {
    expect(makeBackup(await openGolden(join(HERE, 'v1'))), WHY).toEqual(read(PROTOCOL, 'backup.json'));
  });
});
