/**
 * Cluster: the nodes of a scenario, the network between them, and the eyes on both.
 *
 * A message lies in the network until a verb delivers, drops or copies it. Nodes that are isolated, and links that are
 * cut, lose what is sent over them. After each event the state of the node is compared with what it was, a change is
 * told, and the safety properties are checked over all nodes: a scenario that breaks one fails, whatever it expects.
 */
import type { LogIndex, NodeId, Term } from '../../src/base/types.ts';
import {
  committedImmutable,
  electionSafety,
  leaderCompleteness,
  logMatching,
  stateOrdering,
} from '../../src/raft/invariants.ts';
import type { Entry, RaftMessage, RaftStatus } from '../../src/raft/types.ts';
import { configurationText, messageText, turnLines } from './describe.ts';
import type { ScenarioNode } from './node.ts';
import { Transcript } from './transcript.ts';

/** Far more than any scenario needs; without it two nodes that never agree would never end. */
const STABILIZE_ROUNDS_MAX = 500;

export interface Delivery {
  readonly to: NodeId;
  readonly isWanted: (message: RaftMessage) => boolean;
  readonly isDropped?: boolean;
  /** A copy stays in the network: the message will come again. */
  readonly isKept?: boolean;
  /** The last sent comes first. */
  readonly isReversed?: boolean;
}

export class Cluster {
  readonly transcript = new Transcript();
  readonly #nodes = new Map<NodeId, ScenarioNode>();
  readonly #isolated = new Set<NodeId>();
  /** Both ends of each link that is cut, in order. */
  readonly #cut = new Set<string>();
  #messages: RaftMessage[] = [];
  readonly #told = new Map<NodeId, RaftStatus>();
  readonly #leaders = new Map<Term, NodeId>();
  readonly #history = new Map<LogIndex, Entry>();
  #readCount = 0;

  get nodes(): readonly ScenarioNode[] {
    return [...this.#nodes.values()];
  }

  find(id: NodeId): ScenarioNode | null {
    return this.#nodes.get(id) ?? null;
  }

  add(node: ScenarioNode): void {
    this.#nodes.set(node.id, node);
    this.#told.set(node.id, node.raft.status());
    this.#check(node);
  }

  nextReadId(): number {
    return ++this.#readCount;
  }

  // ---- What happens to one node -------------------------------------------------------------------------------------

  /** Runs an event of the node, then tells what it changed. */
  act<T>(node: ScenarioNode, event: () => T): T {
    const result = event();
    this.#observe(node);
    return result;
  }

  #observe(node: ScenarioNode): void {
    if (!node.isUp) return;
    this.#tell(node);
    this.#check(node);
  }

  #tell(node: ScenarioNode): void {
    const before = this.#told.get(node.id);
    const now = node.raft.status();
    this.#told.set(node.id, now);
    const { id, role, term, leader, configuration } = now;
    if (before !== undefined && configurationText(before.configuration) !== configurationText(configuration)) {
      this.transcript.info(`${id} switched to configuration ${configurationText(configuration)}`);
    }
    if (before?.role === role && before.term === term && before.leader === leader) return;
    // Only on winning: an old leader that was cut off need not know what was committed since.
    if (role === 'leader') refuse(leaderCompleteness({ id, entries: node.raft.entriesFrom(0) }, this.#history));
    if (role !== 'follower') this.transcript.info(`${id} is ${role} at term ${term}`);
    else this.transcript.info(`${id} follows ${leader ?? 'nobody'} at term ${term}`);
  }

  /** One turn of the driver. False when there was nothing to do. */
  turn(node: ScenarioNode, heading: string | null = null): boolean {
    if (!node.isUp) return false;
    const turn = node.takeTurn();
    if (turn === null) return false;
    this.#under(heading, () => {
      this.transcript.lines(turnLines(turn.write, turn.ready));
      this.#observe(node);
      this.#send(turn.ready?.messages ?? []);
      if (node.isAsync) return;
      if (node.isWriting) this.#send(this.act(node, () => node.sync()).messages);
      while (node.isApplying) this.#apply(node);
    });
    return true;
  }

  /** The write in flight becomes durable. False when there is none. */
  finishWrite(node: ScenarioNode, heading: string | null = null): boolean {
    if (!node.isUp || !node.isWriting) return false;
    this.#under(heading, () => {
      const { messages } = this.act(node, () => node.sync());
      this.transcript.line(messages.length > 0 ? 'Synced, and sent:' : 'Synced');
      this.transcript.lines(messages.map(messageText));
      this.#send(messages);
    });
    return true;
  }

  /** The oldest slice that was handed out is applied. False when there is none. */
  finishApply(node: ScenarioNode, heading: string | null = null): boolean {
    if (!node.isUp || !node.isApplying) return false;
    this.#under(heading, () => {
      this.#apply(node);
      this.transcript.line(`Applied up to ${node.raft.status().applied}`);
    });
    return true;
  }

  #apply(node: ScenarioNode): void {
    const committed = this.act(node, () => node.apply());
    refuse(committedImmutable(node.id, committed, this.#history));
  }

  #under(heading: string | null, run: () => void): void {
    if (heading === null) run();
    else this.transcript.under(heading, run);
  }

  // ---- The network --------------------------------------------------------------------------------------------------

  #send(messages: readonly RaftMessage[]): void {
    for (const message of messages) {
      if (this.#isCut(message)) this.transcript.line(`lost: ${messageText(message)}`);
      else this.#messages.push(message);
    }
  }

  #isCut({ from, to }: RaftMessage): boolean {
    return this.#isolated.has(from) || this.#isolated.has(to) || this.#cut.has(linkOf(from, to));
  }

  /** Nothing passes to or from the node, and what is on its way is lost. */
  isolate(id: NodeId): void {
    this.#isolated.add(id);
    this.#loseCut();
  }

  cut(left: NodeId, right: NodeId): void {
    this.#cut.add(linkOf(left, right));
    this.#loseCut();
  }

  #loseCut(): void {
    const messages = this.#messages;
    this.#messages = [];
    this.#send(messages);
  }

  heal(): void {
    this.#isolated.clear();
    this.#cut.clear();
  }

  hasMessages(to: NodeId): boolean {
    return this.#messages.some((message) => message.to === to);
  }

  /** How many messages were wanted. */
  deliver(delivery: Delivery): number {
    const { to, isWanted } = delivery;
    const wanted = this.#messages.filter((message) => message.to === to && isWanted(message));
    if (delivery.isKept !== true) {
      const gone = new Set(wanted);
      this.#messages = this.#messages.filter((message) => !gone.has(message));
    }
    if (delivery.isReversed === true) wanted.reverse();
    const node = this.find(to);
    for (const message of wanted) {
      const isLost = delivery.isDropped === true || node === null || !node.isUp;
      this.transcript.line(`${isLost ? 'dropped: ' : ''}${messageText(message)}`);
      if (!isLost) this.act(node, () => node.raft.step(message));
    }
    return wanted.length;
  }

  // ---- Until nothing moves ------------------------------------------------------------------------------------------

  /** Turns, messages, writes and applies of these nodes, in this order, until none of them has anything to do. */
  stabilize(nodes: readonly ScenarioNode[]): void {
    for (let round = 0; round < STABILIZE_ROUNDS_MAX; round++) {
      const steps = [
        (node: ScenarioNode) => this.turn(node, `> ${node.id} handling Ready`),
        (node: ScenarioNode) => this.#receive(node),
        (node: ScenarioNode) => this.finishWrite(node, `> ${node.id} finishing its write`),
        (node: ScenarioNode) => this.finishApply(node, `> ${node.id} applying`),
      ];
      let moved = false;
      for (const step of steps) for (const node of nodes) moved = step(node) || moved;
      if (!moved) return;
    }
    throw new Error(`the nodes do not come to rest in ${STABILIZE_ROUNDS_MAX} rounds`);
  }

  #receive(node: ScenarioNode): boolean {
    if (!this.hasMessages(node.id)) return false;
    this.transcript.under(`> ${node.id} receiving messages`, () => {
      this.deliver({ to: node.id, isWanted: () => true });
    });
    return true;
  }

  // ---- The checks ---------------------------------------------------------------------------------------------------

  #check(node: ScenarioNode): void {
    const status = node.raft.status();
    const own = { id: node.id, entries: node.raft.entriesFrom(status.firstIndex) };
    refuse(stateOrdering(status));
    refuse(electionSafety([status], this.#leaders));
    for (const other of this.nodes) {
      if (other === node || !other.isUp) continue;
      refuse(logMatching(own, { id: other.id, entries: other.raft.entriesFrom(0) }));
    }
  }
}

function linkOf(left: NodeId, right: NodeId): string {
  return [left, right].sort().join('-');
}

function refuse(violation: string | null): void {
  if (violation !== null) throw new Error(violation);
}
