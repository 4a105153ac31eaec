/**
 * polaris cluster add|remove|promote|transfer.
 */
import { CLIENT_KEYS } from '../base/config.ts';
import { PolarisError } from '../base/errors.ts';
import type { ClusterStatus } from '../daemon/api.ts';
import { type CliCommand, clientOf, outputOption, positionalOf, settingOptions, wantsJson } from './command.ts';
import type { CliClient } from './io.ts';
import { renderJson } from './render.ts';

export const clusterAdd: CliCommand = {
  command: 'add <address>',
  describe: 'Take the node at HOST:PORT in; it must run with --join and an empty data directory',
  build: (parser) =>
    parser.positional('address', { type: 'string', describe: 'HOST:PORT of the node', demandOption: true }).options({
      promote: { type: 'boolean', default: true, describe: 'With --no-promote it stays a learner, without a vote' },
      ...outputOption(),
      ...settingOptions(CLIENT_KEYS),
    }),
  async run(io, args) {
    const address = positionalOf(args, 'address');
    if (!/^\S+:\d{1,5}$/.test(address)) throw new PolarisError('USAGE', `"${address}" must look like HOST:PORT`);
    const newcomer = await (await io.connect([`http://${address}`])).node();
    const status = await (await clientOf(io, args)).addMember({ ...newcomer, promote: args['promote'] !== false });
    io.stdout.write(wantsJson(args) ? renderJson(status) : membersLine(status));
    return 0;
  },
};

export const clusterRemove: CliCommand = {
  command: 'remove <id>',
  describe: 'Let a member go for good; it stops by itself',
  build: (parser) =>
    parser.positional('id', { type: 'string', describe: 'Id of the member', demandOption: true }).options({
      force: {
        type: 'boolean',
        default: false,
        describe: 'Also while others still fetch batches of which it has a copy',
      },
      ...outputOption(),
      ...settingOptions(CLIENT_KEYS),
    }),
  async run(io, args) {
    const client = await clientOf(io, args);
    const status = await client.removeMember(positionalOf(args, 'id'), { force: args['force'] === true });
    io.stdout.write(wantsJson(args) ? renderJson(status) : membersLine(status));
    return 0;
  },
};
export const clusterPromote = change('promote <id>', 'Give a learner that has caught up a vote', (client, id) =>
  client.promoteMember(id),
);
export const clusterTransfer = change('transfer <id>', 'Let this voter lead', (client, id) => client.transfer(id));

function change(
  command: string,
  describe: string,
  run: (client: CliClient, id: string) => Promise<ClusterStatus>,
): CliCommand {
  return {
    command,
    describe,
    build: (parser) =>
      parser
        .positional('id', { type: 'string', describe: 'Id of the member', demandOption: true })
        .options({ ...outputOption(), ...settingOptions(CLIENT_KEYS) }),
    async run(io, args) {
      const status = await run(await clientOf(io, args), positionalOf(args, 'id'));
      io.stdout.write(wantsJson(args) ? renderJson(status) : membersLine(status));
      return 0;
    },
  };
}

function membersLine({ members }: ClusterStatus): string {
  return `${members.map(({ id, role }) => `${id} ${role}`).join(', ')}\n`;
}
