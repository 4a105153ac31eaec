/**
 * polaris cluster status: the cluster as one of its nodes sees it, also when there is no leader (exit code 5).
 */
import { CLIENT_KEYS } from '../base/config.ts';
import { ERRORS } from '../base/errors.ts';
import type { ClusterStatus } from '../daemon/api.ts';
import { type CliCommand, clientOf, outputOption, settingOptions, wantsJson } from './command.ts';
import { renderFields, renderJson, renderTable } from './render.ts';

export const clusterStatus: CliCommand = {
  command: 'status',
  describe: 'Show leader, members and workers',
  build: (parser) => parser.options({ ...outputOption(), ...settingOptions(CLIENT_KEYS) }),
  async run(io, args) {
    const client = await clientOf(io, args);
    const status = await client.cluster();
    io.stdout.write(wantsJson(args) ? renderJson(status) : renderStatus(status));
    return status.leader === null ? ERRORS.NO_LEADER.exit : 0;
  },
};

function renderStatus(status: ClusterStatus): string {
  const fields = renderFields([
    ['cluster', status.id ?? 'not formed yet'],
    ['leader', status.leader ?? 'none'],
    ['term', String(status.term)],
    ['commit', String(status.commitIndex)],
    ['applied', String(status.appliedIndex)],
    ['protocol', status.protocol === null ? '-' : String(status.protocol)],
  ]);
  const members = renderTable(
    ['member', 'address', 'role', 'match', 'trails'],
    status.members.map(({ id, address, role, matchIndex }) => [
      ...[id, address, role],
      ...(matchIndex === null
        ? ['-', '-']
        : [String(matchIndex), String(Math.max(0, status.commitIndex - matchIndex))]),
    ]),
  );
  const workers = renderTable(
    ['worker', 'slots', 'busy'],
    status.workers.map(({ id, slots, busy }) => [id, String(slots), String(busy)]),
  );
  return `${fields}\n${members}\n${workers}`;
}
