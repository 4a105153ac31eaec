/**
 * Makes what lies in the folder of a version, from the fixed values: frames, commands, and a data directory with a
 * snapshot and a log behind it.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createPrng } from '../../src/base/prng.ts';
import { openRecord, sealRecord } from '../../src/base/record.ts';
import { encodeBackup } from '../../src/daemon/backup.ts';
import { formationBatch } from '../../src/daemon/formation.ts';
import {
  decodeImage,
  decodeMemberChange,
  encodeImage,
  encodeMemberChange,
  Roster,
  type RosterMember,
} from '../../src/daemon/roster.ts';
import { configurationOf } from '../../src/raft/configuration.ts';
import type { Entry } from '../../src/raft/types.ts';
import { encodeCommand } from '../../src/ranges/codec.ts';
import { JobTable } from '../../src/ranges/table.ts';
import type { Outcome } from '../../src/ranges/types.ts';
import { openLevelStore } from '../../src/store/level.ts';
import type { Store, StoreBatch, StoreContents } from '../../src/store/types.ts';
import { encodeHello, encodeMessage, encodeRefusal, encodeWelcome } from '../../src/wire/codec.ts';
import { COMMANDS, FORMATION, HELLO, MEMBER_CHANGE, MESSAGES, REFUSAL, STORY } from './values.ts';

export interface GoldenFrames {
  /** Frames in hexadecimal, by the type of the message. */
  readonly frames: { readonly [name: string]: string };
  /** Payloads of log entries in hexadecimal, by the kind of the command. */
  readonly commands: { readonly [kind: string]: string };
}

export const TERM = 2;
/** The snapshot of the data directory stands here, and its log begins a little before. */
export const SNAPSHOT_INDEX = 9;
export const KEEP_FROM = 7;
export const BACKUP_AT = 1_767_225_700_000;
/** LevelDB writes these anew at each open: its own diary, and its lock. */
const NOT_KEPT = ['LOG', 'LOG.old', 'LOCK'];

export function makeFrames(): GoldenFrames {
  const frames: Record<string, string> = {
    hello: hex(encodeHello(HELLO)),
    refusal: hex(encodeRefusal(REFUSAL)),
    welcome: hex(encodeWelcome()),
  };
  for (const message of Object.values(MESSAGES)) frames[message.type] = hex(encodeMessage(message));
  const commands: Record<string, string> = { 'member-change': hex(encodeMemberChange(MEMBER_CHANGE)) };
  for (const command of Object.values(COMMANDS)) commands[command.kind] = hex(encodeCommand(command));
  return { frames, commands };
}

/** Each file of the data directory in Base64. */
export async function makeDataDir(): Promise<{ readonly [path: string]: string }> {
  const dir = mkdtempSync(join(tmpdir(), 'polaris-golden-'));
  try {
    await tellStory(dir);
    const files = readdirSync(dir, { recursive: true, withFileTypes: true }).filter(
      (entry) => entry.isFile() && !NOT_KEPT.includes(entry.name),
    );
    const paths = files.map((entry) => join(entry.parentPath, entry.name)).sort();
    return Object.fromEntries(paths.map((path) => [path.slice(dir.length + 1), readFileSync(path).toString('base64')]));
  } finally {
    rmSync(dir, { recursive: true });
  }
}

async function tellStory(dir: string): Promise<void> {
  const { store, contents } = await openLevelStore(dir, { prng: createPrng(2026) });
  const members = FORMATION.places.map((place, at) => ({
    ...place,
    instanceId: at === 0 ? contents.instanceId : 'i-n2',
  }));
  const formed = formationBatch({ clusterId: FORMATION.clusterId, members });
  await write(store, formed);
  const first = entriesOf(2, SNAPSHOT_INDEX + 1);
  await write(store, { hardState: { term: TERM, vote: 'n1', commit: 1 }, entries: first });
  const { table, roster } = replay({ ...contents, snapshot: formed.snapshot ?? null, entries: first }, SNAPSHOT_INDEX);
  const data = encodeImage(roster.snapshot(), table.snapshot());
  const meta = { index: SNAPSHOT_INDEX, term: TERM, configuration: configurationOf(['n1', 'n2']) };
  await write(store, { snapshot: { meta, data }, resetLog: false, keepFrom: KEEP_FROM });
  const last = STORY.length + 1;
  await write(store, {
    hardState: { term: TERM, vote: 'n1', commit: last - 1 },
    entries: entriesOf(SNAPSHOT_INDEX + 2, last),
  });
  await store.close();
}

function entriesOf(first: number, last: number): Entry[] {
  return STORY.slice(first - 2, last - 1).map((each, at) => {
    const index = first + at;
    return { term: TERM, index, record: sealRecord(TERM, index, payloadOf(each)) };
  });
}

function payloadOf(each: (typeof STORY)[number]): Uint8Array {
  if (each === null) return new Uint8Array(0);
  return 'kind' in each ? encodeCommand(each) : encodeMemberChange(each);
}

/** A backup of the cluster whose data directory this is, at its last entry, in Base64. */
export function makeBackup(contents: StoreContents): { readonly base64: string } {
  const { table, roster } = replay(contents, Number.MAX_SAFE_INTEGER);
  const image = encodeImage(roster.snapshot(), table.snapshot());
  const header = { clusterId: FORMATION.clusterId, index: table.appliedIndex, term: TERM, at: BACKUP_AT };
  return { base64: Buffer.from(encodeBackup({ ...header, image })).toString('base64') };
}

/** What a node of today makes of a data directory: its snapshot, and the entries behind it up to an index. */
export function replay(
  { snapshot, entries }: StoreContents,
  upTo: number,
): { readonly table: JobTable; readonly roster: Roster; readonly outcomes: readonly Outcome[] } {
  const table = new JobTable();
  const roster = new Roster();
  const outcomes: Outcome[] = [];
  if (snapshot === null) throw new Error('the data directory has no snapshot');
  const image = decodeImage(snapshot.data);
  roster.restore(image.roster);
  table.restore(snapshot.meta.index, image.table);
  for (const { index, record } of entries) {
    if (index <= snapshot.meta.index || index > upTo) continue;
    const { payload } = openRecord(record);
    const change = decodeMemberChange(payload);
    outcomes.push(table.apply(index, change === null ? payload : new Uint8Array(0)).outcome);
    if (change !== null) {
      const learners = change.newcomers.map((member) => member.id);
      roster.apply(change, { ...snapshot.meta.configuration, learners });
    }
  }
  return { table, roster, outcomes };
}

/** A table and its members as JSON that a person can read. */
export function viewOf(table: JobTable, members: readonly RosterMember[]): unknown {
  const jobs = [...table.jobs()].map((job) => ({ ...job }));
  const workers = [...table.workers()].map((worker) => ({ ...worker }));
  return JSON.parse(JSON.stringify({ appliedIndex: table.appliedIndex, jobs, workers, members }));
}

function write(store: Store, batch: StoreBatch): Promise<void> {
  return new Promise((done, fail) => store.write(batch, (error) => (error === null ? done() : fail(error))));
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
