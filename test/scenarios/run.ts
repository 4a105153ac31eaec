/**
 * Run: a scenario from its first directive to its last, as the text that it should have been.
 *
 * Nothing outside of the text has a say: no clock is read, and lots are drawn from a generator that is seeded by the
 * number of the node. Two runs give the same transcript, on any machine.
 */
import { Cluster } from './cluster.ts';
import { Command } from './command.ts';
import { type Block, parseScript, printScript, ScenarioError } from './script.ts';
import { VERBS } from './verbs.ts';

/**
 * The script with the outputs of this run.
 *
 * @throws ScenarioError with the line number, for mistakes in the script and for invariants that do not hold.
 */
export function runScenario(text: string): string {
  const script = parseScript(text);
  const cluster = new Cluster();
  const outputs = script.blocks.map((block) => runBlock(cluster, block));
  return printScript(script, outputs);
}

function runBlock(cluster: Cluster, block: Block): string {
  const command = new Command(block);
  const verb = VERBS.get(command.verb);
  if (verb === undefined) throw new ScenarioError(block.line, `unknown verb ${command.verb}`);
  try {
    verb(cluster, command);
  } catch (error) {
    if (error instanceof ScenarioError) throw error;
    throw command.error(String(error), error);
  }
  return cluster.transcript.take();
}
