/**
 * polaris cluster backup FILE: everything that the cluster knows at one index, as one file; `-` is stdout.
 *
 * What came is read back before it is written anywhere, so that whoever finds the file in its place has a whole backup.
 */
import { CLIENT_KEYS } from '../base/config.ts';
import { PolarisError } from '../base/errors.ts';
import type { BackupHeader } from '../daemon/backup.ts';
import {
  type CliCommand,
  clientOf,
  outputOption,
  positionalOf,
  STDOUT_FILE,
  settingOptions,
  wantsJson,
} from './command.ts';
import { renderFields, renderJson } from './render.ts';

export const clusterBackup: CliCommand = {
  command: 'backup <file>',
  describe: 'Write everything that the cluster knows to a file; - is stdout',
  build: (parser) =>
    parser
      .positional('file', {
        type: 'string',
        describe: 'File to write, replaced once the new one is whole; or -',
        demandOption: true,
      })
      .options({ ...outputOption(), ...settingOptions(CLIENT_KEYS) }),
  async run(io, args) {
    const file = positionalOf(args, 'file');
    if (file === STDOUT_FILE && io.stdout.isTTY === true) {
      throw new PolarisError('USAGE', 'a backup is no text for a terminal; name a file, or send stdout to one');
    }
    const client = await clientOf(io, args);
    const bytes = await client.backup();
    // Only here, so that the other commands need not load the job table.
    const { decodeBackup, tableOf } = await import('../daemon/backup.ts');
    const backup = decodeBackup(bytes);
    const jobs = [...tableOf(backup).jobs()].length;
    if (file === STDOUT_FILE) {
      io.stdout.write(bytes);
      return 0;
    }
    const { writeWholeFile } = await import('./whole-file.ts');
    writeWholeFile(file, bytes);
    const summary = backupSummary(backup, jobs);
    io.stdout.write(wantsJson(args) ? renderJson({ file, bytes: bytes.length, ...summary }) : renderSummary(summary));
    return 0;
  },
};

export interface BackupSummary {
  readonly clusterId: string;
  readonly index: number;
  readonly term: number;
  readonly takenAt: string;
  readonly jobs: number;
}

export function backupSummary({ clusterId, index, term, at }: BackupHeader, jobs: number): BackupSummary {
  return { clusterId, index, term, takenAt: new Date(at).toISOString(), jobs };
}

function renderSummary({ clusterId, index, term, takenAt, jobs }: BackupSummary): string {
  return renderFields([
    ['cluster', clusterId],
    ['index', String(index)],
    ['term', String(term)],
    ['taken', takenAt],
    ['jobs', String(jobs)],
  ]);
}
