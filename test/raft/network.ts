/**
 * Network: a whole Raft cluster in memory, with a network and disks that fail on request.
 *
 * Every node drives a real `Raft` as the daemon would: its writes sit in flight until the test syncs them, and a crash
 * loses whatever was not synced. Messages lie in one bag until they are delivered, in the order in which they were sent
 * or in any other. The safety invariants are checked after every event; a broken one throws.
 */
import { createPrng, type Prng } from '../../src/base/prng.ts';
import type { LogIndex, NodeId, Term } from '../../src/base/types.ts';
import { configurationOf, membersOf, NOBODY } from '../../src/raft/configuration.ts';
import {
  committedImmutable,
  electionSafety,
  leaderCompleteness,
  logMatching,
  stateOrdering,
} from '../../src/raft/invariants.ts';
import { Raft } from '../../src/raft/raft.ts';
import type {
  ConfChange,
  Configuration,
  Entry,
  HardState,
  ProposeResult,
  RaftMessage,
  RaftOptions,
  Ready,
  ReadyRead,
  Snapshot,
  Write,
} from '../../src/raft/types.ts';

export const ELECTION_TICKS_MIN = 10;
export const ELECTION_TICKS_MAX = 20;
export const HEARTBEAT_TICKS = 2;

export type MessageOf<T extends RaftMessage['type']> = Extract<RaftMessage, { type: T }>;

/** Entries are sealed as "term.index:" and the payload, so that each entry's bytes tell where they belong. */
export function seal(term: Term, index: LogIndex, payload: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from(`${term}.${index}:`), payload]);
}

/** What a vote says of the commit index when there is nothing but the founding snapshot. */
export const CLAIM = { commit: 1, commitTerm: 1 } as const;

const CHANGE_PREFIX = 'change:';

/** Entries are opaque to the core: this is how the drivers of these tests write a change of the configuration. */
export function encodeConfChange(change: ConfChange): Uint8Array {
  return Buffer.from(CHANGE_PREFIX + JSON.stringify(change));
}

/** 'add-voter d' and so on. No words at all leave a joint configuration. */
export function changeOf(words: readonly string[], transition: ConfChange['transition'] = 'auto'): ConfChange {
  const changes = words.map((word) => {
    const [kind, id] = word.split(' ');
    return { kind, id } as ConfChange['changes'][number];
  });
  return { transition, changes };
}

export function optionsFor(id: NodeId, overrides: Partial<RaftOptions> = {}): RaftOptions {
  return {
    id,
    prng: createPrng(id.charCodeAt(id.length - 1)),
    electionTicksMin: ELECTION_TICKS_MIN,
    electionTicksMax: ELECTION_TICKS_MAX,
    heartbeatTicks: HEARTBEAT_TICKS,
    appendBytesMax: 1024,
    inflightMessagesMax: 8,
    inflightBytesMax: 4096,
    uncommittedBytesMax: 8192,
    seal,
    encodeConfChange,
    ...overrides,
  };
}

/** An entry as the leader of `term` would have sealed it. */
export function entry(term: Term, index: LogIndex, payload = ''): Entry {
  return { term, index, record: seal(term, index, Buffer.from(payload)) };
}

export function snapshotAt(
  index: LogIndex,
  term: Term,
  members: Configuration | readonly NodeId[],
  data = '',
): Snapshot {
  const configuration = 'voters' in members ? members : configurationOf(members);
  return { meta: { index, term, configuration }, data: Buffer.from(data) };
}

/** What a node has that is to join: nothing, and the knowledge of nobody. */
export function emptyDisk(): MemoryDisk {
  return new MemoryDisk({ term: 0, vote: null, commit: 0 }, snapshotAt(0, 0, NOBODY));
}

/** What survives a crash. */
export class MemoryDisk {
  hardState: HardState;
  snapshot: Snapshot;
  entries: Entry[];

  constructor(hardState: HardState, snapshot: Snapshot, entries: readonly Entry[] = []) {
    this.hardState = hardState;
    this.snapshot = snapshot;
    this.entries = [...entries];
  }

  apply(write: Write): void {
    if (write.hardState !== null) this.hardState = write.hardState;
    if (write.snapshot !== null) {
      this.snapshot = write.snapshot;
      this.entries = [];
    }
    const first = write.entries[0];
    if (first === undefined) return;
    this.entries = this.entries.filter((kept) => kept.index < first.index).concat(write.entries);
  }

  compact(snapshot: Snapshot, keepFrom: LogIndex): void {
    this.snapshot = snapshot;
    this.entries = this.entries.filter((kept) => kept.index >= keepFrom);
  }
}

export class Node {
  readonly id: NodeId;
  readonly disk: MemoryDisk;
  raft: Raft;
  up = true;
  /** The write that is not synced yet. */
  writing: Write | null = null;
  /** Texts of the applied entries, without no-ops; a snapshot brings its own. */
  applied: string[] = [];
  reads: ReadyRead[] = [];
  failedReads: number[] = [];
  /** Its state machine takes its time: what is committed piles up in the backlog. */
  sluggish = false;
  backlog: Ready[] = [];
  readonly #options: RaftOptions;

  constructor(options: RaftOptions, disk: MemoryDisk) {
    this.id = options.id;
    this.disk = disk;
    this.#options = options;
    this.raft = this.#open();
  }

  #open(): Raft {
    const { hardState, snapshot, entries } = this.disk;
    this.applied = textsOf(snapshot);
    return new Raft(this.#options, { hardState, snapshot, entries });
  }

  /** Everything in memory is gone; the disk stays as it is synced. */
  crash(): void {
    this.up = false;
    this.writing = null;
    this.backlog = [];
  }

  restart(): void {
    this.raft = this.#open();
    this.reads = [];
    this.failedReads = [];
    this.up = true;
  }
}

/** A disk whose log holds entries of these terms, from index 2 on. */
export function diskWith(
  terms: readonly Term[],
  voters: readonly NodeId[],
  hardState: Partial<HardState> = {},
): MemoryDisk {
  const entries = terms.map((term, position) => entry(term, position + 2, `${term}-${position + 2}`));
  const term = terms.at(-1) ?? 1;
  return new MemoryDisk({ term, vote: null, commit: 1, ...hardState }, snapshotAt(1, 1, voters), entries);
}

export interface ClusterOptions {
  readonly voters?: readonly NodeId[];
  /** Other than that all of them vote. */
  readonly configuration?: Configuration;
  readonly raft?: Partial<RaftOptions>;
  /** Starting disks other than the empty one. */
  readonly disks?: Readonly<Record<NodeId, MemoryDisk>>;
  readonly seed?: number;
}

export class Cluster {
  readonly nodes = new Map<NodeId, Node>();
  readonly voters: readonly NodeId[];
  /** Sent and not delivered. */
  bag: RaftMessage[] = [];
  /** Nodes whose messages are lost, both ways. */
  readonly isolated = new Set<NodeId>();
  /** Decides about each message that is to be delivered. */
  filter: (message: RaftMessage) => boolean = () => true;
  readonly leaders = new Map<Term, NodeId>();
  readonly history = new Map<LogIndex, Entry>();
  /** The configuration after each change, as the first that applied it saw it. */
  readonly configurations = new Map<LogIndex, string>();
  readonly #options: ClusterOptions;
  readonly #prng: Prng;
  readonly #leading = new Map<NodeId, Term>();
  /** For each read that waits: the highest index that was committed anywhere when it was asked. */
  readonly #readFloors = new Map<number, LogIndex>();
  readsServed = 0;
  #readId = 0;
  #committedMax: LogIndex = 1;

  constructor(options: ClusterOptions = {}) {
    this.#options = options;
    this.#prng = createPrng(options.seed ?? 1);
    const configuration = options.configuration ?? configurationOf(options.voters ?? ['a', 'b', 'c']);
    this.voters = membersOf(configuration);
    for (const id of this.voters) {
      const founded = new MemoryDisk({ term: 1, vote: null, commit: 1 }, snapshotAt(1, 1, configuration));
      this.add(id, options.disks?.[id] ?? founded);
    }
  }

  /** A node starts. That it belongs to the cluster is for the leader to say. */
  add(id: NodeId, disk: MemoryDisk = emptyDisk()): void {
    this.nodes.set(id, new Node(optionsFor(id, { prng: this.#prng.fork(), ...this.#options.raft }), disk));
  }

  get ids(): readonly NodeId[] {
    return [...this.nodes.keys()];
  }

  node(id: NodeId): Node {
    const node = this.nodes.get(id);
    if (node === undefined) throw new Error(`no node ${id}`);
    return node;
  }

  raft(id: NodeId): Raft {
    return this.node(id).raft;
  }

  /** Takes what the node gives out, as its driver would, but leaves its write unsynced. */
  pump(id: NodeId): void {
    const node = this.node(id);
    if (!node.up) return;
    this.startWrite(node);
    if (!node.sluggish) this.#drain(node);
    while (node.raft.hasReady()) this.#carryOut(node);
    this.#check(node);
  }

  startWrite(node: Node): void {
    if (node.writing === null) node.writing = node.raft.takeWrite();
  }

  #carryOut(node: Node): void {
    const ready = node.raft.ready(256);
    this.bag.push(...ready.messages);
    node.failedReads.push(...ready.failedReads);
    for (const id of ready.failedReads) this.#answered(id);
    node.backlog.push(ready);
    if (!node.sluggish) this.#drain(node);
  }

  #drain(node: Node): void {
    for (const ready of node.backlog.splice(0)) this.#apply(node, ready);
  }

  #apply(node: Node, ready: Ready): void {
    if (ready.snapshot !== null) {
      node.applied = textsOf(ready.snapshot);
      node.raft.applied(ready.snapshot.meta.index);
    }
    fail(committedImmutable(node.id, ready.committed, this.history));
    this.#committedMax = Math.max(this.#committedMax, ready.committed.at(-1)?.index ?? 0);
    for (const { index, record } of ready.committed) {
      const text = textOf(record);
      if (text.startsWith(CHANGE_PREFIX)) this.#applyChange(node, index, text.slice(CHANGE_PREFIX.length));
      else if (text !== '') node.applied.push(text);
      node.raft.applied(index);
    }
    node.reads.push(...ready.reads);
    for (const { id, index } of ready.reads) {
      const floor = this.#readFloors.get(id) ?? Number.POSITIVE_INFINITY;
      if (index < floor) throw new Error(`read ${id} at index ${index} misses what was committed up to ${floor}`);
      if (index > node.raft.status().applied) throw new Error(`read ${id} is handed out before index ${index}`);
    }
    for (const { id } of ready.reads) this.#answered(id);
    this.readsServed += ready.reads.length;
  }

  /** Every node must come to the same configuration, from whatever snapshot it started. */
  #applyChange(node: Node, index: LogIndex, change: string): void {
    const configuration = JSON.stringify(node.raft.applyConfChange(JSON.parse(change)));
    const known = this.configurations.get(index);
    this.configurations.set(index, configuration);
    if (known !== undefined && known !== configuration) {
      throw new Error(`${node.id} has ${configuration} from ${index} on, where ${known} was in force`);
    }
  }

  #answered(id: number): void {
    if (!this.#readFloors.delete(id)) throw new Error(`read ${id} was answered twice`);
  }

  /** Asks for a linearizable read; null when the node does not lead. */
  read(id: NodeId): number | null {
    const readId = ++this.#readId;
    if (!this.raft(id).requestRead(readId)) return null;
    this.#readFloors.set(readId, this.#committedMax);
    return readId;
  }

  /** The write in flight becomes durable, and its messages leave. */
  sync(id: NodeId): void {
    const node = this.node(id);
    const { writing } = node;
    if (!node.up || writing === null) return;
    node.disk.apply(writing);
    node.writing = null;
    node.raft.written();
    this.bag.push(...writing.messages);
    this.pump(id);
  }

  /** Delivers the message at this place in the bag, or loses it. */
  deliver(position = 0): void {
    const [message] = this.bag.splice(position, 1);
    if (message === undefined || !this.filter(message)) return;
    if (this.isolated.has(message.from) || this.isolated.has(message.to)) return;
    const node = this.nodes.get(message.to);
    if (node === undefined || !node.up) return;
    node.raft.step(message);
    this.pump(message.to);
  }

  /** Hands a made-up message straight to its receiver. */
  inject(message: RaftMessage): void {
    this.raft(message.to).step(message);
    this.pump(message.to);
  }

  tick(id: NodeId): void {
    const node = this.node(id);
    if (!node.up) return;
    node.raft.tick();
    this.pump(id);
  }

  /** Syncs and delivers until nothing moves. */
  settle(): void {
    for (let events = 0; events < 20_000; events++) {
      for (const id of this.ids) this.pump(id);
      const writer = this.ids.find((id) => this.node(id).up && this.node(id).writing !== null);
      if (writer !== undefined) this.sync(writer);
      else if (this.bag.length > 0) this.deliver();
      else return;
    }
    throw new Error('the cluster never comes to rest');
  }

  /** Time passes on all nodes, with everything delivered and synced in between. */
  run(ticks: number): void {
    for (let tick = 0; tick < ticks; tick++) {
      for (const id of this.ids) this.tick(id);
      this.settle();
    }
  }

  /** Lets this node run out of patience, and nobody else; then its campaign runs to its end. */
  campaign(id: NodeId): void {
    for (let tick = 0; tick < ELECTION_TICKS_MAX && this.raft(id).status().role === 'follower'; tick++) this.tick(id);
    this.settle();
  }

  /** Makes this node the leader of a healthy cluster that has none. */
  elect(id: NodeId): void {
    this.campaign(id);
    if (this.raft(id).status().role !== 'leader') throw new Error(`${id} was not elected`);
  }

  propose(id: NodeId, text: string): LogIndex {
    const result = this.raft(id).propose(Buffer.from(text));
    if (!result.ok) throw new Error(result.reason);
    return result.index;
  }

  /** Asks this node to change the membership, in words: see `changeOf`. */
  change(id: NodeId, words: readonly string[], transition?: ConfChange['transition']): ProposeResult {
    const change = changeOf(words, transition);
    return this.raft(id).proposeConfChange(change, encodeConfChange(change));
  }

  crash(id: NodeId): void {
    this.node(id).crash();
    this.#leading.delete(id);
  }

  restart(id: NodeId): void {
    this.node(id).restart();
    this.pump(id);
  }

  /** A snapshot of all that the node has applied, durable at once. */
  compact(id: NodeId, tail = 0): void {
    const node = this.node(id);
    const { applied, firstIndex, configuration } = node.raft.status();
    const term = node.raft.termAt(applied);
    // A snapshot of the leader's has taken the place of the log, and is on its way to the disk.
    if (term === null) return;
    const snapshot = snapshotAt(applied, term, configuration, node.applied.join('\n'));
    const keepFrom = Math.max(firstIndex, applied + 1 - tail);
    node.disk.compact(snapshot, keepFrom);
    node.raft.compacted(snapshot, keepFrom);
  }

  sent<T extends RaftMessage['type']>(type: T, to?: NodeId): MessageOf<T>[] {
    return this.bag.filter(
      (message): message is MessageOf<T> => message.type === type && (to === undefined || message.to === to),
    );
  }

  leader(): NodeId | null {
    const leading = [...this.nodes.values()].filter((node) => node.up);
    const statuses = leading.map((node) => node.raft.status()).filter((status) => status.role === 'leader');
    return statuses.sort((a, b) => b.term - a.term)[0]?.id ?? null;
  }

  #check(node: Node): void {
    const status = node.raft.status();
    fail(stateOrdering(status));
    fail(electionSafety([status], this.leaders));
    if (status.role === 'leader' && this.#leading.get(node.id) !== status.term) {
      this.#leading.set(node.id, status.term);
      fail(leaderCompleteness({ id: node.id, entries: node.raft.entriesFrom(1) }, this.history));
    }
  }

  /** Too slow for every event: all pairs of logs. */
  checkLogs(): void {
    const logs = this.ids.map((id) => ({ id, entries: this.raft(id).entriesFrom(1) }));
    for (const [position, left] of logs.entries()) {
      for (const right of logs.slice(position + 1)) fail(logMatching(left, right));
    }
  }
}

/** One random event of a random schedule. */
export function stir(cluster: Cluster, prng: Prng, proposal: string): void {
  const id = cluster.ids[prng.integer(0, cluster.ids.length)]!;
  const node = cluster.node(id);
  const die = prng.next();
  if (die < 0.55) cluster.deliver(prng.chance(0.8) ? 0 : prng.integer(0, Math.max(1, cluster.bag.length)));
  else if (die < 0.75) cluster.sync(id);
  else if (die < 0.87) for (let ticks = prng.integer(1, 4); ticks > 0; ticks--) cluster.tick(id);
  else if (die < 0.92) node.up && node.raft.propose(Buffer.from(proposal));
  else if (die < 0.93) node.up && cluster.read(id);
  else if (die < 0.94) cluster.bag.push(...cluster.bag.slice(0, 3));
  else if (die < 0.945) cluster.bag.splice(prng.integer(0, cluster.bag.length + 1), 5);
  else if (die < 0.955) node.up && cluster.compact(id, prng.integer(0, 4));
  else if (die < 0.96) cluster.isolated.add(id);
  else if (die < 0.97) cluster.isolated.clear();
  else if (die < 0.995) node.up || cluster.restart(id);
  else if (node.up) cluster.crash(id);
}

function textOf(record: Uint8Array): string {
  const text = Buffer.from(record).toString();
  return text.slice(text.indexOf(':') + 1);
}

function textsOf(snapshot: Snapshot): string[] {
  const text = Buffer.from(snapshot.data).toString();
  return text === '' ? [] : text.split('\n');
}

function fail(violation: string | null): void {
  if (violation !== null) throw new Error(violation);
}
