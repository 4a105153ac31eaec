/**
 * polaris node: one node of a cluster, in the foreground, until a signal ends it.
 */
import { availableParallelism } from 'node:os';
import { NODE_KEYS, nodeProcessConfig } from '../base/config.ts';
import { type CliCommand, settingOptions, settingsOf } from './command.ts';

export const node: CliCommand = {
  command: 'node',
  describe: 'Run a node',
  build: (parser) =>
    parser
      .options(settingOptions(NODE_KEYS))
      .example('$0 node', 'a cluster of one, on http://127.0.0.1:7070')
      .example(
        '$0 node --id n1 --listen 127.0.0.1:7071 --peers n1=127.0.0.1:7071,n2=127.0.0.1:7072,n3=127.0.0.1:7073',
        'one of three',
      )
      .example('$0 node --id w1 --listen 127.0.0.1:0 --join 127.0.0.1:7071', 'a worker without a vote')
      .epilogue('A flag goes over its environment variable, that over the config file, that over the default.'),
  async run(io, args) {
    const config = nodeProcessConfig(settingsOf(io, args), { cores: availableParallelism() });
    // The daemon is most of the program; the other commands start fast because only this one loads it.
    const { runNode } = await import('./run-node.ts');
    await runNode(config);
    return 0;
  },
};
