/**
 * Membership: who belongs to the cluster, how to reach them, and how the cluster came to be.
 *
 * A voter takes part in the formation (formation.ts) or finds its record on disk. A worker-role node dials the addresses
 * it was given, learns the others from their hellos, and keeps a guess of who leads.
 */
import { v4 as uuidv4 } from 'uuid';
import { must } from '../base/assert.ts';
import { PolarisError } from '../base/errors.ts';
import { JOIN_EVERY_MS, PROTOCOL, PROTOCOL_MIN } from '../base/limits.ts';
import type { Address, ClusterId, InstanceId, NodeId, Term } from '../base/types.ts';
import type { Formation, StoreBatch, StoreContents } from '../store/types.ts';
import type { EnlistMessage, FormationMessage, Hello, Place, Refusal } from '../wire/messages.ts';
import type { Env, NodeConfig } from './env.ts';
import { binds, formationBatch, found } from './formation.ts';
import type { RosterMember } from './roster.ts';

/** The record is offered again to peers that have not said that they hold it. */
const FORM_EVERY_MS = 200;
/** A cluster that waits for one of its founders says so, and again, since the one who starts it looks at the log. */
const WAITING_EVERY_MS = 5_000;

export interface MembershipOptions {
  readonly env: Env;
  readonly config: NodeConfig;
  readonly contents: StoreContents;
  /** The record is on our disk: what the disk now holds. */
  readonly formed: (contents: StoreContents) => void;
  /** The members as the log has them; empty as long as this node has none of it. */
  readonly roster: () => readonly RosterMember[];
  readonly wasRemoved: (id: NodeId) => boolean;
  readonly send: (to: NodeId, message: FormationMessage | EnlistMessage) => void;
}

export class Membership {
  readonly #options: MembershipOptions;
  #formation: Formation | null;
  #clusterId: ClusterId | null;
  /** The record is being written. */
  #forming = false;
  readonly #connected = new Map<NodeId, Hello>();
  readonly #empties = new Map<NodeId, InstanceId>();
  /** Voters that hold no record yet, as far as we know. */
  readonly #unformed = new Set<NodeId>();
  #nextFormAt = 0;
  /** When it is next said for whom the founding waits; null until the first tick, which is too early to say it. */
  #nextWaitingAt: number | null = null;
  #nextEnlistAt = 0;
  #nextFarewellAt = 0;
  /** To whom this node may still be a guest, by the hello of their connection: one may be behind, and be led by us. */
  readonly #unaware = new Set<NodeId>();
  #nextWordAt = 0;
  #enlistsUnanswered = 0;
  /** The word that this node was taken in is being written. */
  #enlisting = false;
  /** Where the members of the roster were dialled. */
  #rosterAddresses = new Map<NodeId, Address>();
  readonly #dialled = new Set<Address>();
  readonly #refusals = new Map<Address, Refusal>();
  /** A worker's knowledge of the voters and of who leads: all that anybody ever named. */
  readonly #learnt = new Map<NodeId, Address>();
  /** What the leader of the newest term named: others may tell of members that have been removed since. */
  #told: { readonly term: Term; readonly members: ReadonlyMap<NodeId, Address> } | null = null;
  #guess: NodeId | null = null;
  #guessTerm: Term = 0;

  constructor(options: MembershipOptions) {
    this.#options = options;
    this.#formation = options.contents.formation;
    this.#clusterId = options.contents.clusterId;
  }

  get formation(): Formation | null {
    return this.#formation;
  }

  get clusterId(): ClusterId | null {
    return this.#clusterId;
  }

  /** A voter that is to be taken into a cluster that others founded. */
  get joins(): boolean {
    const { config } = this.#options;
    return config.role === 'voter' && config.join.length > 0 && this.#clusterId === null;
  }

  /** Knows the cluster by hearsay only. */
  get #isGuest(): boolean {
    return this.#options.config.role === 'worker' || this.joins;
  }

  /** A member by an entry of the log, not by the record that founded the cluster. */
  get #isNewcomer(): boolean {
    return this.#options.config.role === 'voter' && this.#formation === null && this.#clusterId !== null;
  }

  /** For a guest: the voter to turn to. */
  get guess(): NodeId | null {
    return this.#guess;
  }

  get guessTerm(): Term {
    return this.#guessTerm;
  }

  start(): void {
    const { config } = this.#options;
    for (const member of this.members()) if (member.id !== config.id) this.#dial(member.address);
    for (const address of config.join) this.#dial(address);
    this.#considerFounding();
  }

  hello(): Hello {
    const { config, contents } = this.#options;
    return {
      protocol: PROTOCOL,
      protocolMin: PROTOCOL_MIN,
      clusterId: this.#clusterId,
      nodeId: config.id,
      instanceId: contents.instanceId,
      role: config.role,
      address: config.address,
      joining: this.joins,
      sessionTtlMs: config.sessionTtlMs,
      empty: this.#clusterId === null && !this.#forming && contents.hardState === null && contents.entries.length === 0,
      members: this.members(),
    };
  }

  /** The members with their addresses: as the log has them, else as the record or the flags name them. */
  members(): readonly Place[] {
    const { config } = this.#options;
    const roster = this.#options.roster();
    if (roster.length > 0) {
      return roster.map(({ id, address }) => ({
        id,
        address: id === config.id ? config.address : (config.peers.find((peer) => peer.id === id)?.address ?? address),
      }));
    }
    if (this.#formation !== null) {
      return this.#formation.members.map(({ id, address }) => ({
        id,
        address: config.peers.find((peer) => peer.id === id)?.address ?? address,
      }));
    }
    if (config.peers.length > 0) return config.peers;
    const known = this.#told?.members ?? this.#learnt;
    return [...known].map(([id, address]) => ({ id, address })).sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  addressOf(id: NodeId): Address | null {
    const member = this.members().find((one) => one.id === id);
    return member?.address ?? this.#connected.get(id)?.address ?? null;
  }

  isConnected(id: NodeId): boolean {
    return this.#connected.has(id);
  }

  /** The hello that was let in bound this id to a member's data directory. */
  isConnectedVoter(id: NodeId): boolean {
    return this.#connected.get(id)?.role === 'voter';
  }

  helloOf(id: NodeId): Hello | undefined {
    return this.#connected.get(id);
  }

  /** Connected as a node that wants to be taken in. */
  isGuestOfOurs(id: NodeId): boolean {
    return this.#connected.get(id)?.joining ?? false;
  }

  connectedWorkers(): NodeId[] {
    return [...this.#connected.values()].filter((hello) => hello.role === 'worker').map((hello) => hello.nodeId);
  }

  connected(hello: Hello): void {
    this.#connected.set(hello.nodeId, hello);
    this.#refusals.clear();
    if (hello.role !== 'voter') return;
    if (this.#isGuest) return this.#learn(hello);
    if (this.#isNewcomer) this.#unaware.add(hello.nodeId);
    if (hello.clusterId === null && !hello.joining) this.#unformed.add(hello.nodeId);
    else this.#unformed.delete(hello.nodeId);
    if (hello.empty) this.#empties.set(hello.nodeId, hello.instanceId);
    else this.#empties.delete(hello.nodeId);
    this.#considerFounding();
    this.#offer(hello.nodeId);
  }

  disconnected(id: NodeId): void {
    this.#connected.delete(id);
    this.#unaware.delete(id);
    this.#empties.delete(id);
    if (this.#guess === id) this.nextGuess();
  }

  /**
   * Another node will not have us. A data directory that is not the one bound to our id can never take part, so the node
   * stops and says so; so does one that everybody it knows refuses. A single stranger on a peer's port stops nobody, and
   * neither does one who comes to ours.
   */
  refused(by: Address, refusal: Refusal): void {
    const { env } = this.#options;
    env.log.warn({ by, code: refusal.code, detail: refusal.detail }, 'refused');
    const known = this.#knownAddresses();
    if (!known.has(by)) return;
    this.#refusals.set(by, refusal);
    const code = GRAVE.find((one) => one === refusal.code);
    if (code === undefined) return;
    const everywhere = [...known].every((address) => this.#refusals.has(address));
    if (code !== 'INSTANCE_MISMATCH' && code !== 'REMOVED' && !everywhere) return;
    env.fatal(new PolarisError(code, `${by} refuses this node: ${refusal.detail}`));
  }

  message(from: NodeId, message: FormationMessage): void {
    if (message.type === 'formed') {
      this.#unformed.delete(from);
      this.#unaware.delete(from);
      return;
    }
    const { config, contents } = this.#options;
    if (config.role !== 'voter') return;
    const { formation } = message;
    if (this.#formation !== null) {
      if (formation.clusterId === this.#formation.clusterId) this.#options.send(from, { type: 'formed' });
      return;
    }
    if (binds(formation, config.id, contents.instanceId)) this.#form(formation);
  }

  /** The log has changed the members: new ones are dialled, those that left are let go. */
  rosterChanged(): void {
    const addresses = new Map(this.members().map(({ id, address }) => [id, address]));
    for (const [id, address] of this.#rosterAddresses) {
      if (addresses.get(id) === address || !this.#dialled.delete(address)) continue;
      this.#options.env.network.forget(address);
    }
    for (const address of addresses.values()) this.#dial(address);
    this.#rosterAddresses = addresses;
  }

  /** A guest was taken in: what it says of Raft is to be heard, also by one who has not applied that yet. */
  guestEnlisted(id: NodeId, clusterId: ClusterId): void {
    const hello = this.#connected.get(id);
    if (hello === undefined || clusterId !== this.#clusterId) return;
    this.#connected.set(id, { ...hello, clusterId, joining: false });
    this.#options.send(id, { type: 'formed' });
  }

  /** The leader took this node in: from here on it is a member, whatever happens to it. */
  enlisted(clusterId: ClusterId): void {
    if (!this.joins || this.#enlisting) return;
    this.#enlisting = true;
    const { env, contents } = this.#options;
    env.store.write({ clusterId }, (error) => {
      if (error !== null) return env.fatal(error);
      this.#clusterId = clusterId;
      for (const { nodeId, role } of this.#connected.values()) if (role === 'voter') this.#unaware.add(nodeId);
      env.log.info({ clusterId }, 'enlisted');
      this.#options.formed({ ...contents, clusterId });
    });
  }

  tick(now: number): void {
    if (this.joins && now >= this.#nextEnlistAt) this.#enlist(now);
    if (this.#formation === null && !this.#isGuest) this.#sayWaiting(now);
    if (now >= this.#nextFarewellAt) this.#sayFarewell(now);
    if (this.#unaware.size > 0 && now >= this.#nextWordAt) this.#sayEnlisted(now);
    if (this.#formation === null || this.#unformed.size === 0 || now < this.#nextFormAt) return;
    this.#nextFormAt = now + FORM_EVERY_MS;
    for (const id of this.#unformed) this.#offer(id);
  }

  // ---- a worker's guess of the leader -----------------------------------------------------------------------------

  /** True when the guess changed. */
  heardOfLeader(from: NodeId, leader: NodeId | null, term: Term, members: readonly Place[]): boolean {
    if (!this.#isGuest) return false;
    this.#learnMembers(members);
    if (from === leader && members.length > 0 && term >= (this.#told?.term ?? 0)) {
      const others = members.filter(({ id }) => id !== this.#options.config.id);
      this.#told = { term, members: new Map(others.map(({ id, address }) => [id, address])) };
    }
    if (leader === null || term < this.#guessTerm) return false;
    const changed = leader !== this.#guess;
    // Whoever was just named has not been asked yet.
    if (changed) this.#enlistsUnanswered = 0;
    this.#guessTerm = term;
    this.#guess = leader;
    return changed;
  }

  /** The present guess does not answer: the next connected voter may lead, or know who does. */
  nextGuess(): void {
    if (!this.#isGuest) return;
    const voters = [...this.#connected.values()].filter((hello) => hello.role === 'voter').map((hello) => hello.nodeId);
    voters.sort();
    if (voters.length === 0) {
      this.#guess = null;
      return;
    }
    const at = this.#guess === null ? -1 : voters.indexOf(this.#guess);
    this.#guess = voters[(at + 1) % voters.length] ?? null;
  }

  // ---- formation --------------------------------------------------------------------------------------------------

  #sayWaiting(now: number): void {
    this.#nextWaitingAt ??= now + WAITING_EVERY_MS;
    if (now < this.#nextWaitingAt) return;
    this.#nextWaitingAt = now + WAITING_EVERY_MS;
    const { env, config } = this.#options;
    const missing = config.peers.map((peer) => peer.id).filter((id) => id !== config.id && !this.#connected.has(id));
    if (missing.length > 0) env.log.info({ missing }, 'waiting-for-peers');
  }

  #considerFounding(): void {
    const { env, config, contents } = this.#options;
    if (this.#formation !== null || this.#forming || !this.hello().empty) return;
    const formation = found(config, contents.instanceId, this.#empties, () => uuidv4({ random: env.prng.bytes(16) }));
    if (formation !== null) this.#form(formation);
  }

  /** The record goes to our disk first; only then is it ours, and offered to others. */
  #form(formation: Formation): void {
    if (this.#forming) return;
    this.#forming = true;
    const { env, contents } = this.#options;
    const batch: StoreBatch = formationBatch(formation);
    env.store.write(batch, (error) => {
      if (error !== null) return env.fatal(error);
      this.#formation = formation;
      this.#clusterId = formation.clusterId;
      env.log.info({ clusterId: formation.clusterId, members: formation.members.map((one) => one.id) }, 'formed');
      this.#options.formed({
        ...contents,
        clusterId: formation.clusterId,
        formation,
        hardState: batch.hardState ?? null,
        snapshot: batch.snapshot ?? null,
      });
      for (const { id } of formation.members) {
        if (id === this.#options.config.id) continue;
        if (this.#connected.get(id)?.clusterId === null) this.#unformed.add(id);
        this.#options.send(id, { type: 'formed' });
        this.#offer(id);
      }
    });
  }

  #offer(id: NodeId): void {
    if (this.#formation === null || !this.#unformed.has(id)) return;
    this.#options.send(id, { type: 'form', formation: this.#formation });
  }

  /**
   * A member that missed its own removal hears of it from everybody it is still connected with: a learner asks for no
   * votes, and so nothing that it does would be answered.
   */
  #sayFarewell(now: number): void {
    this.#nextFarewellAt = now + JOIN_EVERY_MS;
    for (const { nodeId, role } of this.#connected.values()) {
      if (role !== 'voter' || !this.#options.wasRemoved(nodeId)) continue;
      this.#options.send(nodeId, {
        type: 'expelled',
        code: 'REMOVED',
        detail: `"${nodeId}" was removed from the cluster`,
      });
    }
  }

  /** A connection keeps the hello that it began with; so it is said, and said again, until it was heard. */
  #sayEnlisted(now: number): void {
    this.#nextWordAt = now + JOIN_EVERY_MS;
    const { config } = this.#options;
    const clusterId = must(this.#clusterId, 'a member has a cluster');
    for (const id of this.#unaware) this.#options.send(id, { type: 'enlisted', id: config.id, clusterId });
  }

  /** Asks whoever is thought to lead; after two questions in vain it is somebody else's turn. */
  #enlist(now: number): void {
    this.#nextEnlistAt = now + JOIN_EVERY_MS;
    if (this.#guess === null || ++this.#enlistsUnanswered > 2) {
      this.#enlistsUnanswered = 0;
      this.nextGuess();
    }
    if (this.#guess === null) return;
    this.#options.send(this.#guess, { type: 'enlist', promote: this.#options.config.promote ?? true });
  }

  // ---- a worker's knowledge ---------------------------------------------------------------------------------------

  #learn(hello: Hello): void {
    const { env, config } = this.#options;
    if (hello.clusterId !== null && this.#clusterId === null && config.role === 'worker') {
      this.#clusterId = hello.clusterId;
      env.store.write({ clusterId: hello.clusterId }, (error) => {
        if (error !== null) env.fatal(error);
      });
    }
    this.#learnt.set(hello.nodeId, hello.address);
    this.#learnMembers(hello.members);
    if (this.#guess === null) this.#guess = hello.nodeId;
  }

  #learnMembers(members: readonly Place[]): void {
    for (const { id, address } of members) {
      if (id !== this.#options.config.id) this.#learnt.set(id, address);
      this.#dial(address);
    }
  }

  /** Those we turned to, and those that the flags name: a node of another cluster has a record that names others. */
  #knownAddresses(): ReadonlySet<Address> {
    const { config } = this.#options;
    const named = config.peers.filter((peer) => peer.id !== config.id).map((peer) => peer.address);
    return new Set([...this.#dialled, ...named]);
  }

  #dial(address: Address): void {
    if (address === this.#options.config.address || this.#dialled.has(address)) return;
    this.#dialled.add(address);
    this.#options.env.network.dial(address);
  }
}

/** Refusals that time does not heal. */
const GRAVE = [
  'INSTANCE_MISMATCH',
  'REMOVED',
  'CLUSTER_MISMATCH',
  'STRANGER',
  'PROTOCOL_MISMATCH',
  'CONFIG_MISMATCH',
] as const;
