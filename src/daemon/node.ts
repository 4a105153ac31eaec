/**
 * Node: one member of a cluster, voter or worker or both. It owns the parts and carries events between them.
 *
 * The way of the data: what comes in (a message, a tick, a synced write, a request) is given to the part it concerns;
 * at the end of the turn one pump sends, writes and applies whatever that has made ready; what was applied goes to the
 * leader's duties and to whoever waits. Everything outside comes through the Env, so the simulator runs this very class.
 *
 * Invariants: no part calls the network or the disk but through the Env · after `fatal` or `stop` nothing is done any
 * more · a broken invariant anywhere ends the node, never only the turn.
 */
import { assert, must } from '../base/assert.ts';
import { ERRORS, type ErrorCode, PolarisError } from '../base/errors.ts';
import { DRAIN_MS, FAREWELL_MS, HAND_OVER_MS, TICK_MS, TICKS_AT_ONCE_MAX } from '../base/limits.ts';
import type { Address, InstanceId, JobId, LogIndex, NodeId, Range } from '../base/types.ts';
import type { Command, Controls, JobSpec, JobView, Outcome, ScheduleSpec, Table, TableEvent } from '../ranges/types.ts';
import type { Formation, StoreContents } from '../store/types.ts';
import type { Hello, LeaderMessage, Refusal, WireMessage, WorkerMessage } from '../wire/messages.ts';
import { channelOf } from '../wire/network.ts';
import { Answered } from './answered.ts';
import type {
  ClusterStatus,
  Consistency,
  DataChange,
  Done,
  JobPace,
  MemberRequest,
  NodeApi,
  WorkerStatus,
} from './api.ts';
import { encodeBackup } from './backup.ts';
import type { Env, JobTypeInfo, NodeConfig, Timer } from './env.ts';
import { Features } from './features.ts';
import { admitBeforeFormation, admitToCluster, admitTtl } from './formation.ts';
import { guardedEnv } from './guarded-env.ts';
import { Leader } from './leader.ts';
import { LeaderWaiters } from './leader-waiters.ts';
import { MemberDuties, successor } from './member-duties.ts';
import { Membership } from './membership.ts';
import { Replica, type ReplicaMessage } from './replica.ts';
import type { RunnerAnswer, RunnerRequest } from './runner-api.ts';
import { cronTimes } from './schedule-duty.ts';
import { clusterStatus, nodeChecks } from './status.ts';
import { Worker } from './worker.ts';

/** A pause of the process longer than this is a stall: its silence is nobody else's. */
const STALL_MS = 100;

export class Node implements NodeApi {
  readonly id: NodeId;
  readonly address: Address;
  readonly instanceId: InstanceId;
  readonly #env: Env;
  readonly #config: NodeConfig;
  readonly #contents: StoreContents;
  readonly #membership: Membership;
  readonly #features: Features;
  readonly #answered: Answered;
  #replica: Replica | null = null;
  #leader: Leader | null = null;
  #memberDuties: MemberDuties | null = null;
  /** Waits for another leader before this node ends. */
  #handedOver: (() => void) | null = null;
  #leaderTerm = 0;
  readonly #worker: Worker | null;
  #knownLeader: NodeId | null = null;
  readonly #leaderWaiters: LeaderWaiters;
  #timer: Timer | null = null;
  #tickedAt = 0;
  #pumping = false;
  #phase: 'new' | 'running' | 'draining' | 'stopped' = 'new';

  constructor(env: Env, config: NodeConfig, contents: StoreContents) {
    this.id = config.id;
    this.address = config.address;
    this.instanceId = contents.instanceId;
    this.#config = config;
    this.#features = new Features(config.id);
    this.#answered = new Answered(env);
    this.#contents = contents;
    this.#leaderWaiters = new LeaderWaiters(env.timers);
    this.#env = guardedEnv(env, {
      event: (run) => this.#guard(run),
      fatal: (error) => {
        if (this.#phase === 'stopped') return;
        this.#halt();
        env.fatal(error);
      },
    });
    this.#membership = new Membership({
      env: this.#env,
      config,
      contents,
      formed: (formed) => this.#becomeReplica(formed),
      roster: () => this.#replica?.roster.members() ?? [],
      wasRemoved: (id) => this.#replica?.roster.wasRemoved(id) ?? false,
      send: (to, message) => this.#send(to, message),
    });
    this.#worker =
      config.slots === 0
        ? null
        : new Worker({
            env: this.#env,
            instanceId: contents.instanceId,
            address: config.address,
            slots: config.slots,
            sessionTtlMs: config.sessionTtlMs,
            send: (message) => this.#toLeader(message),
            turn: (run) => this.#guard(run),
            doubtLeader: () => {
              this.#membership.nextGuess();
              // Being told of the doubted one again is news.
              this.#knownLeader = this.#leaderNow();
            },
          });
  }

  start(): void {
    assert(this.#phase === 'new', 'a node is started once');
    this.#phase = 'running';
    this.#tickedAt = this.#env.clock.now();
    if (this.#membership.clusterId !== null && this.#config.role === 'voter') this.#becomeReplica(this.#contents);
    this.#env.network.start({
      hello: () => this.#membership.hello(),
      admit: (hello) => this.#admit(hello),
      connected: (peer) => this.#guard(() => this.#connected(peer)),
      disconnected: (peer) => this.#guard(() => this.#disconnected(peer)),
      message: (from, message) => this.#guard(() => this.#receive(from, message)),
      refused: (by, refusal) => this.#guard(() => this.#membership.refused(by, refusal)),
    });
    this.#membership.start();
    this.#armTick();
    this.#wake();
  }

  /** Gives leases back, then ends. Within DRAIN_MS. */
  stop(done: () => void): void {
    if (this.#phase !== 'running') return done();
    this.#phase = 'draining';
    let ended = false;
    const end = () => {
      if (ended) return;
      ended = true;
      this.#halt();
      this.#env.executor.stop(done);
    };
    this.#env.timers.after(DRAIN_MS, end);
    const handOver = () => this.#handOver(end);
    if (this.#worker === null) return handOver();
    this.#worker.drain(handOver);
    this.#wake();
  }

  // ---- what others ask --------------------------------------------------------------------------------------------

  get types(): readonly JobTypeInfo[] {
    return this.#env.executor.types;
  }

  status(): ClusterStatus {
    const leads = this.#leader === null ? null : this.#replica;
    return clusterStatus({
      replica: this.#replica,
      leads: leads !== null,
      leader: this.#leaderNow(),
      membership: this.#membership,
      features: this.#features,
    });
  }

  leads(): boolean {
    return this.#leader !== null && this.#phase !== 'stopped';
  }

  leaderAddress(): Address | null {
    const leader = this.#leaderNow();
    return leader === null ? null : this.#membership.addressOf(leader);
  }

  awaitLeader(waitMs: number, done: (found: boolean) => void): void {
    this.#leaderWaiters.add(waitMs, () => this.#leaderNow() !== null, done);
  }

  submit(spec: JobSpec, done: Done<Extract<Outcome, { kind: 'created' | 'exists' }>>): void {
    this.#propose(
      (at) => ({ kind: 'submit-job', at, spec, stamp: null }),
      (result) => {
        if (!result.ok) return done(result);
        const { value } = result;
        assert(value.kind === 'created' || value.kind === 'exists', 'a submit creates or finds');
        done({ ok: true, value });
      },
    );
  }

  control(id: JobId, action: 'pause' | 'resume' | 'cancel', done: Done<void>): void {
    this.#change((at) => ({ kind: 'control-job', at, id, action }), done);
  }

  retry(id: JobId, range: Range | null, uncertain: boolean, done: Done<void>): void {
    this.#change((at) => ({ kind: 'retry-job', at, id, range, uncertain }), done);
  }

  set(id: JobId, changes: Partial<Controls>, done: Done<void>): void {
    this.#change((at) => ({ kind: 'set-job', at, id, changes }), done);
  }

  putSchedule(schedule: ScheduleSpec, done: Done<void>): void {
    const times = cronTimes(schedule);
    if (times instanceof PolarisError) return done({ ok: false, error: times });
    this.#change((at) => ({ kind: 'put-schedule', at, schedule, nextAt: times.next(at) }), done);
  }

  dropSchedule(key: string, done: Done<void>): void {
    this.#change((at) => ({ kind: 'drop-schedule', at, key }), done);
  }

  changeData(change: DataChange, done: Done<Outcome>): void {
    this.#propose((at) => (change.kind === 'condemn' ? change : { ...change, at }), done);
  }

  drainWorker(id: NodeId, draining: boolean, done: Done<void>): void {
    this.#guard(() => {
      if (this.#leader === null) return done({ ok: false, error: new PolarisError('NO_LEADER') });
      this.#leader.rest(id, draining, done);
    });
  }

  runner(request: RunnerRequest, done: Done<RunnerAnswer>): () => void {
    let takeBack = () => {};
    this.#guard(() => {
      if (this.#leader === null) done({ ok: false, error: new PolarisError('NO_LEADER') });
      else takeBack = this.#leader.runners.ask(request, done);
    });
    return () => this.#guard(takeBack);
  }

  workers(): readonly WorkerStatus[] | null {
    return this.#leader?.workers() ?? null;
  }

  holdOf(id: JobId): string | null {
    return this.#leader?.holdOf(id) ?? null;
  }

  read<T>(consistency: Consistency, look: (table: Table) => T, done: Done<T>): void {
    const replica = this.#replica;
    if (replica === null || this.#phase === 'stopped') return done({ ok: false, error: new PolarisError('NO_LEADER') });
    if (consistency === 'local') return done({ ok: true, value: look(replica.table) });
    this.#guard(() => replica.read((result) => done(result.ok ? { ok: true, value: look(replica.table) } : result)));
  }

  backup(done: Done<Uint8Array>): void {
    this.#guard(() => {
      const replica = this.#replica;
      if (replica === null || this.#leader === null) return done({ ok: false, error: new PolarisError('NO_LEADER') });
      const { clusterId } = this.#membership;
      const at = this.#leader.stamp();
      replica.read((result) => {
        if (!result.ok) return done(result);
        const origin = { clusterId: must(clusterId, 'a leader has a cluster'), at };
        done({ ok: true, value: encodeBackup({ ...origin, ...replica.image() }) });
      });
    });
  }

  pace(job: JobView): JobPace | null {
    return this.#leader?.jobPace(job) ?? null;
  }

  readiness(): readonly { readonly name: string; readonly ok: boolean }[] {
    return nodeChecks({
      ...{ replica: this.#replica, role: this.#config.role, isStopping: this.#phase !== 'running' },
      ...{ isFormed: this.#membership.clusterId !== null, hasLeader: this.#leaderNow() !== null },
    });
  }

  changeMembers(request: MemberRequest, done: Done<void>): void {
    this.#guard(() => {
      const duties = this.#memberDuties;
      if (duties === null) return done({ ok: false, error: new PolarisError('NO_LEADER') });
      duties.change(request, done);
    });
  }

  /** For the invariants of the simulator. Null before the cluster is formed. */
  get replica(): Replica | null {
    return this.#replica;
  }

  #change(make: (at: number) => Command, done: Done<void>): void {
    this.#propose(make, (result) => done(result.ok ? { ok: true, value: undefined } : result));
  }

  #propose(make: (at: number) => Command, done: Done<Outcome>): void {
    this.#guard(() => {
      const leader = this.#leader;
      if (leader === null || this.#replica === null) return done({ ok: false, error: new PolarisError('NO_LEADER') });
      this.#replica.propose(make(leader.stamp()), (result) => {
        if (result.ok && result.value.kind === 'refused') {
          return done({ ok: false, error: new PolarisError(result.value.code, result.value.detail) });
        }
        done(result);
      });
    });
  }

  // ---- turns ------------------------------------------------------------------------------------------------------

  /** Runs one event. Whatever it throws is a broken invariant. */
  #guard(run: () => void): void {
    if (this.#phase === 'stopped') return;
    try {
      run();
    } catch (thrown) {
      this.#env.fatal(thrown instanceof Error ? thrown : new Error(String(thrown)));
      return;
    }
    this.#wake();
  }

  #wake(): void {
    if (this.#pumping || this.#phase === 'stopped') return;
    this.#pumping = true;
    this.#env.timers.soon(() => {
      this.#pumping = false;
      if (this.#phase === 'stopped') return;
      try {
        if (this.#pump()) this.#wake();
      } catch (thrown) {
        this.#env.fatal(thrown instanceof Error ? thrown : new Error(String(thrown)));
      }
    });
  }

  #pump(): boolean {
    const more = this.#replica?.pump() ?? false;
    this.#followLeadership();
    this.#leader?.flush();
    this.#worker?.flush();
    return more;
  }

  #armTick(): void {
    this.#timer = this.#env.timers.after(TICK_MS, () => {
      if (this.#phase === 'stopped') return;
      this.#armTick();
      // What is waiting to be read is read before time is told: a late node must not take its own lateness for silence.
      this.#env.timers.soon(() => this.#guard(() => this.#tick()));
    });
  }

  #tick(): void {
    const now = this.#env.clock.now();
    const elapsed = now - this.#tickedAt;
    const due = Math.floor(elapsed / TICK_MS);
    const ticks = Math.min(due, TICKS_AT_ONCE_MAX);
    this.#tickedAt = due > ticks ? now : this.#tickedAt + ticks * TICK_MS;
    // Only what is beyond it is excused: a leader whose every turn takes long must still give up the dead.
    if (elapsed > STALL_MS) this.#leader?.stalled(elapsed - STALL_MS, now);
    for (let i = 0; i < ticks; i++) this.#replica?.raft.tick();
    this.#replica?.tickTransfers(now);
    this.#membership.tick(now);
    this.#worker?.tick();
    this.#leader?.judge();
    this.#memberDuties?.tick(now);
  }

  #halt(): void {
    this.#phase = 'stopped';
    this.#timer?.cancel();
    this.#leader?.close();
    this.#leader = null;
    this.#memberDuties = null;
    this.#replica?.close();
    this.#leaderWaiters.answer(false);
  }

  // ---- leadership -------------------------------------------------------------------------------------------------

  #becomeReplica(contents: StoreContents): void {
    this.#replica = new Replica({
      env: this.#env,
      id: this.id,
      contents,
      snapshotEveryEntries: this.#config.snapshotEveryEntries,
      logTailEntries: this.#config.logTailEntries,
      snapshotChunkBytes: this.#config.snapshotChunkBytes,
      stateHashEveryEntries: this.#config.stateHashEveryEntries,
      send: (to, message) => this.#send(to, message),
      protocol: () => this.#features.level(this.#membership.members().map(({ id }) => id)),
      wake: () => this.#wake(),
      onApplied: (index, events) => {
        for (const event of events) {
          this.#logEvent(index, event);
          this.#leader?.applied(event);
        }
      },
      onMembers: () => this.#membersChanged(),
      onRestored: () => assert(this.#leader === null, 'a leader receives no snapshot'),
    });
    this.#wake();
  }

  /** One line a state change; tasks are many, so theirs are for debugging. */
  #logEvent(index: LogIndex, event: TableEvent): void {
    const { kind, ...fields } = event;
    const level = kind.startsWith('task-') ? 'debug' : 'info';
    this.#env.log[level]({ index, ...fields }, kind);
  }

  /** Begins and ends the leader's duties, and tells workers whom to turn to. */
  #followLeadership(): void {
    const replica = this.#replica;
    if (replica === null) return;
    const status = replica.standing();
    const leads = status.role === 'leader' && replica.appliedTerm === status.term && this.#phase !== 'stopped';
    if (this.#leader !== null && (!leads || status.term !== this.#leaderTerm)) {
      this.#leader.close();
      this.#leader = null;
      this.#memberDuties = null;
      this.#env.log.info({ term: status.term }, 'leading-ended');
    }
    if (leads && this.#leader === null) {
      this.#leaderTerm = status.term;
      this.#leader = new Leader({
        env: this.#env,
        table: replica.table,
        sessionTtlMs: this.#config.sessionTtlMs,
        propose: (command, done) => replica.propose(command, done),
        fresh: () => replica.fresh(),
        send: (to, message) => this.#send(to, message),
        listened: (node, address) => this.#answered.has(node, address),
        isConnected: (node) => node === this.id || this.#membership.isConnected(node),
        wake: () => this.#wake(),
      });
      this.#memberDuties = new MemberDuties({
        replica,
        clusterId: must(this.#membership.clusterId, 'a leader has a cluster'),
        send: (to, message) => this.#send(to, message),
      });
      this.#env.log.info({ term: status.term }, 'leading');
    }
    this.#noteLeader(this.#leaderNow());
  }

  #noteLeader(leader: NodeId | null): void {
    if (leader === this.#knownLeader) return;
    this.#knownLeader = leader;
    if (leader === null) return;
    if (leader !== this.id) this.#handedOver?.();
    this.#worker?.leaderChanged();
    this.#leaderWaiters.answer(true);
    for (const worker of this.#membership.connectedWorkers()) this.#sayLeader(worker);
  }

  /** The leader as this node may name it: itself only when settled. */
  #leaderNow(): NodeId | null {
    if (this.#phase === 'stopped') return null;
    if (this.#replica === null) return this.#membership.guess;
    const { role, leader } = this.#replica.standing();
    if (role === 'leader') return this.#leader === null ? null : this.id;
    return leader;
  }

  // ---- messages ---------------------------------------------------------------------------------------------------

  #admit(hello: Hello): Refusal | null {
    const ttlRefusal = admitTtl(this.#config, hello);
    if (ttlRefusal !== null) return ttlRefusal;
    const { clusterId } = this.#membership;
    const replica = this.#replica;
    if (replica === null || clusterId === null) return admitBeforeFormation(this.#config, clusterId, hello);
    return admitToCluster(clusterId, replica.roster, hello);
  }

  #connected(peer: Hello): void {
    this.#membership.connected(peer);
    this.#features.heard(peer);
    this.#answered.connected(peer.nodeId, peer.address);
    this.#leader?.connected(peer.nodeId);
    if (peer.role === 'worker' || peer.joining) this.#sayLeader(peer.nodeId);
  }

  #disconnected(peer: NodeId): void {
    this.#membership.disconnected(peer);
    this.#answered.disconnected(peer);
    this.#leader?.disconnected(peer);
  }

  #sayLeader(to: NodeId): void {
    const replica = this.#replica;
    if (replica === null) return;
    const { term } = replica.standing();
    this.#send(to, { type: 'leader', leader: this.#leaderNow(), term, members: this.#membership.members() });
  }

  #send(to: NodeId, message: WireMessage): void {
    if (to !== this.id) return this.#env.network.send(to, message, channelOf(message));
    this.#env.timers.soon(() => this.#guard(() => this.#receive(to, message)));
  }

  #toLeader(message: WorkerMessage): void {
    const leader = this.#leaderNow();
    if (leader !== null) this.#send(leader, message);
  }

  #receive(from: NodeId, message: WireMessage): void {
    switch (message.type) {
      case 'join':
      case 'keep-alive':
      case 'report':
      case 'keep':
        if (this.#leader !== null) this.#leader.message(from, message);
        else this.#sayLeader(from);
        return;
      case 'leader':
        if (this.#membership.heardOfLeader(from, message.leader, message.term, message.members)) {
          this.#noteLeader(this.#leaderNow());
        }
        return;
      case 'joined':
      case 'join-refused':
      case 'leases':
      case 'reported':
      case 'ended':
        return this.#toWorker(message);
      case 'form':
      case 'formed':
        return this.#membership.message(from, message);
      case 'enlist':
        return this.#enlist(from, message.promote);
      case 'enlisted':
        if (message.id === this.id) return this.#membership.enlisted(message.clusterId);
        if (message.id === from) this.#membership.guestEnlisted(from, message.clusterId);
        return;
      case 'enlist-refused':
      case 'expelled':
        return this.#expelled(from, message.code, message.detail);
      default:
        return this.#toReplica(from, message);
    }
  }

  #toWorker(message: LeaderMessage): void {
    this.#worker?.message(message);
  }

  /** The core takes requests from everybody, so this is where it ends what a worker or a guest says of Raft. */
  #toReplica(from: NodeId, message: ReplicaMessage): void {
    const replica = this.#replica;
    if (replica === null || !this.#membership.isConnectedVoter(from)) return;
    const isKnown = replica.roster.get(from) !== undefined || !this.#membership.isGuestOfOurs(from);
    if (isKnown) replica.receive(from, message);
  }

  #enlist(from: NodeId, promote: boolean): void {
    const hello = this.#membership.helloOf(from);
    if (hello === undefined || hello.role !== 'voter') return;
    if (this.#memberDuties === null) this.#sayLeader(from);
    else this.#memberDuties.enlist(hello, promote);
  }

  // The one who leads, as far as we know, can say it; whoever was removed may know of none, so any member can.
  #expelled(from: NodeId, code: string, detail: string): void {
    const isTrusted = from === this.#leaderNow() || (code === 'REMOVED' && this.#membership.isConnectedVoter(from));
    if (!isTrusted || !Object.hasOwn(ERRORS, code)) return;
    this.#env.fatal(new PolarisError(code as ErrorCode, detail));
  }

  /** The log has changed the members. Whoever is not among them any more says goodbye. */
  #membersChanged(): void {
    this.#membership.rosterChanged();
    for (const worker of this.#membership.connectedWorkers()) this.#sayLeader(worker);
    const roster = this.#replica?.roster;
    if (roster === undefined || !roster.wasRemoved(this.id) || roster.get(this.id) !== undefined) return;
    this.#env.log.warn({ id: this.id }, 'removed');
    // A removed leader still tells the others that the change is committed.
    this.#env.timers.after(FAREWELL_MS, () => this.#guard(() => this.#env.fatal(new PolarisError('REMOVED'))));
  }

  /** A leader that stops hands its place to the voter that is nearest to it, and waits until that one leads. */
  #handOver(done: () => void): void {
    const replica = this.#replica;
    if (replica === null || this.#leader === null) return done();
    const next = successor(replica.status());
    if (next === null || !replica.raft.transferLeadership(next).ok) return done();
    this.#env.log.info({ to: next }, 'handing-over');
    this.#handedOver = done;
    this.#env.timers.after(HAND_OVER_MS, done);
    this.#wake();
  }

  /** The record that formed the cluster, or null. */
  get formation(): Formation | null {
    return this.#membership.formation;
  }
}
