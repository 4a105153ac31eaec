/**
 * World: a whole cluster in one process, in virtual time, out of one seed.
 *
 * The nodes are the real daemon (src/daemon/node.ts) with an Env made here. The world gives them machines, disks, a
 * network and job hosts, takes them away again, and lets the checkers look after each turn. It waits for nothing and
 * decides nothing: faults.ts does, or a test.
 *
 * Invariant: everything that happens is a function of the options; the first broken promise stops the world.
 */
import { must } from '../../src/base/assert.ts';
import { type ErrorCode, errorText, PolarisError } from '../../src/base/errors.ts';
import type { BlobHash } from '../../src/base/handle.ts';
import type { Logger } from '../../src/base/log.ts';
import { createPrng, type Prng } from '../../src/base/prng.ts';
import type { JobId, NodeId } from '../../src/base/types.ts';
import type { NodeConfig } from '../../src/daemon/env.ts';
import { Node } from '../../src/daemon/node.ts';
import type { WireMessage } from '../../src/wire/messages.ts';
import { Atlas } from './atlas.ts';
import type { JobModel } from './attempt.ts';
import { Auditor } from './auditor.ts';
import { Branches } from './branches.ts';
import { ControlChecker } from './control-checker.ts';
import { CopyChecker } from './copy-checker.ts';
import { type DiskSpeed, SimDisk } from './disk.ts';
import { Electorate } from './electorate.ts';
import type { Blobs, Entrance } from './emission.ts';
import { SimExecutor } from './executor.ts';
import { GrantChecker } from './grant-checker.ts';
import { Histories } from './history.ts';
import { Takings } from './masters.ts';
import { SimNetwork } from './network.ts';
import { Oracle } from './oracle.ts';
import { OutputChecker } from './output-checker.ts';
import { Outside } from './outside.ts';
import { Host, Process, type TurnKind } from './process.ts';
import { RaftChecker } from './raft-checker.ts';
import { RegisterHistories } from './register-history.ts';
import { Scheduler } from './scheduler.ts';
import { Shelves, type Stored } from './shelves.ts';
import { Trace } from './trace.ts';
import { expectThat, Violation } from './violation.ts';
import { type LinkOptions, Weather } from './weather.ts';

export interface NodePlan {
  readonly config: NodeConfig;
  /** Name of its machine; nodes of one machine share its clocks. */
  readonly host: string;
}

export interface HostPlan {
  readonly name: string;
  readonly offsetMs: number;
  readonly rate: number;
  readonly wallOffsetMs: number;
}

export interface WorldOptions {
  readonly seed: number;
  readonly hosts: readonly HostPlan[];
  readonly nodes: readonly NodePlan[];
  readonly link: LinkOptions;
  readonly disk: DiskSpeed;
  /** Job code takes up to so long to notice a release. */
  readonly releaseMsMax: number;
  /** Power cuts may tear a write so that it shows: its node is lost. */
  readonly tearsWrites?: boolean;
  readonly print?: (line: string) => void;
  readonly bugs?: ModelBugs;
}

/** Known bugs of what surrounds a daemon, put back for the tests of the checker. */
export interface ModelBugs {
  /** Job hosts leave the deadline to their node. */
  readonly ignoresDeadline?: boolean;
  /** Disks say that a write is durable long before it is. */
  readonly acknowledgesEarly?: boolean;
  /** Stores look at no checksum when they open. */
  readonly ignoresChecksums?: boolean;
  /** Stores do not hold a log against its mark. */
  readonly ignoresMark?: boolean;
  /** Every address seems to be on this host, and every probe is refused: a broken connection proves a death. */
  readonly refusesProbes?: boolean;
  /** Keepers delete by the hash alone. */
  readonly deletesByHash?: boolean;
  /** Masters take in outputs as they come, though they asked for them in order. */
  readonly foldsInAnyOrder?: boolean;
  /** Datasets are read from the table of any node. */
  readonly readsLocally?: boolean;
}

/** A broken pipe is noticed within this time, and job code is ended. */
const PIPE_CLOSES_MS_MAX = 5;
/** A leader steps down when one write takes 2 s on its own clock, which may be 5 % slow, and it looks at every tick. */
const STALLED_LEADER_MS_MAX = 2_500;
/** Replicas at the same index are compared each time that so many entries were applied. */
const HASH_EVERY_ENTRIES = 100;

/** A node through all its lives. */
export interface SimNode {
  readonly plan: NodePlan;
  readonly disk: SimDisk;
  lives: number;
  process: Process | null;
  node: Node | null;
  executor: SimExecutor | null;
  comparedIndex: number;
  /** It was found damaged when it was to start: it never starts again. */
  refused: boolean;
}

export class World {
  readonly scheduler = new Scheduler();
  readonly prng: Prng;
  readonly trace: Trace;
  readonly weather: Weather;
  readonly network: SimNetwork;
  readonly raft: RaftChecker;
  readonly auditor: Auditor;
  readonly oracle: Oracle;
  readonly histories = new Histories();
  readonly registers = new RegisterHistories();
  readonly branches: Branches;
  readonly atlas: Atlas;
  readonly outside: Outside;
  readonly grants: GrantChecker;
  readonly control: ControlChecker;
  readonly shelves: Shelves;
  readonly copies: CopyChecker;
  readonly outputs: OutputChecker;
  readonly takings = new Takings();
  /** A fault: some job hosts die while the far half of their task is already somebody else's. */
  diesAfterKeeping = false;
  readonly nodes = new Map<NodeId, SimNode>();
  readonly models = new Map<JobId, JobModel>();
  readonly #options: WorldOptions;
  readonly #hosts = new Map<string, Host>();
  readonly #wiped = new Set<NodeId>();
  /** Nodes that ended themselves, and why. */
  readonly endings: { readonly id: NodeId; readonly code: ErrorCode }[] = [];
  /** Checks that must wait until the turn that caused them is over. */
  #afterTurn: (() => void)[] = [];
  #failure: string | null = null;

  constructor(options: WorldOptions) {
    this.#options = options;
    this.prng = createPrng(options.seed);
    this.trace = new Trace(options.print ?? null);
    this.weather = new Weather(options.link, this.prng.fork());
    this.network = new SimNetwork({
      scheduler: this.scheduler,
      prng: this.prng.fork(),
      weather: this.weather,
      trace: this.trace,
      refusesProbes: options.bugs?.refusesProbes === true,
      sent: (from, to, message) => this.#sent(from, to, message),
    });
    const founders = options.nodes.filter(({ config }) => config.role === 'voter').map(({ config }) => config);
    const electorate = new Electorate(founders.map(({ id, address }) => ({ id, address })));
    this.auditor = new Auditor(this.scheduler, this.trace, electorate);
    this.oracle = new Oracle(this.auditor);
    this.branches = new Branches(this.trace);
    this.atlas = new Atlas({
      isFormed: (id) => this.node(id).disk.log.snapshot !== null,
      voters: () => electorate.voters,
      isMember: (id) => electorate.members.has(id),
    });
    for (const { id } of founders) this.atlas.addFounder(id);
    this.raft = new RaftChecker(electorate, (entry) => this.auditor.apply(entry));
    this.outside = this.#makeOutside();
    this.control = new ControlChecker(this.auditor, this.trace, this.outside);
    this.outputs = new OutputChecker({
      ...{ auditor: this.auditor, trace: this.trace, takings: this.takings, shelves: () => this.shelves },
      model: (job) => this.models.get(job),
    });
    const isHeldByJobs = (hash: BlobHash): boolean => this.outputs.holds(hash);
    this.copies = new CopyChecker(this.auditor, this.trace, () => this.shelves, isHeldByJobs);
    this.shelves = new Shelves({
      ...{ world: this, prng: createPrng(options.seed ^ 0x5e1f) },
      deletesByHash: options.bugs?.deletesByHash === true,
      deleted: (id, hash, stamp) => {
        this.check(() => this.copies.deleted(id, hash, stamp));
        this.check(() => this.outputs.deleted(id, hash));
      },
    });
    this.grants = new GrantChecker({
      ...{ auditor: this.auditor, trace: this.trace, outside: this.outside },
      now: () => this.now,
      check: (run) => this.check(run),
      // Whoever is no node has no lives here; nobody lets one rest.
      life: (id) => this.nodes.get(id)?.lives ?? 0,
    });
    for (const host of options.hosts) this.addHost(host);
    for (const plan of options.nodes) this.addNode(plan);
  }

  /** With lots of its own, so that what is drawn there moves nothing here. */
  #makeOutside(): Outside {
    return new Outside({
      ...{ scheduler: this.scheduler, trace: this.trace, prng: createPrng(this.#options.seed ^ 0x0575) },
      check: (run) => this.check(run),
      noticed: (notice) => this.control.noticed(notice),
    });
  }

  get now(): number {
    return this.scheduler.now;
  }

  /** What broke first, or null. */
  get failure(): string | null {
    return this.#failure;
  }

  fail(finding: string): void {
    if (this.#failure !== null) return;
    this.#failure = `at ${this.now.toFixed(3)} ms: ${finding}`;
    this.trace.line(this.now, '!', finding);
  }

  /** Runs a check; what it finds stops the world. */
  check(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.fail(error instanceof Error ? (error.stack ?? error.message) : String(error));
    }
  }

  host(name: string): Host {
    return must(this.#hosts.get(name), `host ${name} is in the plan`);
  }

  addHost(plan: HostPlan): void {
    this.#hosts.set(plan.name, new Host(plan));
  }

  get hosts(): Iterable<Host> {
    return this.#hosts.values();
  }

  node(id: NodeId): SimNode {
    return must(this.nodes.get(id), `node ${id} is in the plan`);
  }

  // ---- Lives of nodes -----------------------------------------------------------------------------------------------

  boot(id: NodeId): void {
    const sim = this.node(id);
    if (sim.process !== null) return;
    const { config, host } = sim.plan;
    sim.lives += 1;
    const process = new Process({
      id,
      life: sim.lives,
      host: this.host(host),
      scheduler: this.scheduler,
      prng: this.prng.fork(),
      hooks: { turned: (one, kind) => this.#turned(one, kind, sim), threw: (one, error) => this.#threw(one, error) },
    });
    this.trace.line(this.now, id, `boot, life ${sim.lives}`);
    // A starting node first ends the job host that its former life left.
    sim.executor?.end();
    const executor = this.#executor(sim, process);
    sim.process = process;
    sim.executor = executor;
    sim.comparedIndex = 0;
    this.check(() => {
      const opened = this.#openDisk(sim, process);
      if (opened === null) return this.#end(sim, process);
      const { store, contents } = opened;
      const env = {
        clock: process.clock,
        timers: process.timers,
        prng: this.prng.fork(),
        network: this.network.open(process, config.address),
        store,
        executor,
        probe: this.outside.probe(process, () => sim.node?.replica?.standing().term ?? null),
        log: this.#logger(id),
        fatal: (error: Error) => this.#fatal(process, error),
      };
      const node = new Node(env, config, contents);
      sim.node = node;
      process.turn('input', () => node.start());
    });
  }

  /** Null when the store refuses, as it must with a disk that is full or was damaged, and never with another one. */
  #openDisk(sim: SimNode, process: Process): ReturnType<SimDisk['open']> | null {
    const { id, role } = sim.plan.config;
    try {
      const opened = sim.disk.open(process);
      expectThat(!sim.refused, () => `${id} starts on a disk that was found damaged before`);
      if (role === 'voter') {
        this.raft.opened(process, sim.disk.log);
        this.branches.opened(id, sim.disk.log);
      }
      return opened;
    } catch (error) {
      if (!(error instanceof PolarisError)) throw error;
      this.trace.line(this.now, id, `start refused: ${errorText(error)}`);
      const isDamaged = error.code === 'LOG_DAMAGED' && this.atlas.isCondemned(id);
      const isFull = error.code === 'DISK_FAILED' && sim.disk.full;
      expectThat(isDamaged || isFull, () => `${id} refuses to start on a good disk: ${errorText(error)}`);
      this.trace.count(`start refused ${error.code}`);
      if (isDamaged) sim.refused = true;
      return null;
    }
  }

  #end(sim: SimNode, process: Process): void {
    process.end();
    sim.process = null;
    sim.executor?.end();
  }

  /** kill -9, or the cable pulled: unsynced writes are lost, or kept though nobody was told. */
  crash(id: NodeId): void {
    const sim = this.node(id);
    const { process, executor } = sim;
    if (process === null) return;
    this.trace.line(this.now, id, 'crash');
    const status = sim.node?.replica?.raft.status() ?? null;
    process.end();
    sim.process = null;
    sim.node = null;
    const write = sim.disk.crash(() => this.#options.tearsWrites === true && this.atlas.condemn(id));
    if (sim.plan.config.role === 'voter') this.branches.crashed(status, write, sim.disk.log);
    this.network.died(process);
    const delay = this.prng.next() * PIPE_CLOSES_MS_MAX;
    this.scheduler.after(delay, () => this.check(() => executor?.end()));
  }

  /** Someone puts an empty disk into a node that is down. */
  wipe(id: NodeId): void {
    this.#wiped.add(id);
    this.raft.wiped(id);
    this.trace.line(this.now, id, 'its disk is taken away');
    this.node(id).disk.wipe();
    this.shelves.wipe(id);
    this.copies.wiped(id);
    this.outputs.wiped(id);
  }

  /** SIGTERM: the node drains and ends by itself, and `ended` is told, if nothing else ends it first. */
  drain(id: NodeId, ended: () => void): void {
    const sim = this.node(id);
    const { process, node } = sim;
    if (process === null || node === null) return;
    this.trace.line(this.now, id, 'drain');
    process.turn('input', () => {
      node.stop(() => {
        this.scheduler.after(0, () => {
          if (sim.process !== process) return;
          this.crash(id);
          ended();
        });
      });
    });
  }

  pause(id: NodeId): void {
    const { process } = this.node(id);
    if (process === null || process.paused) return;
    this.trace.line(this.now, id, 'pause');
    process.pause();
    this.network.silenced();
  }

  resume(id: NodeId): void {
    const { process } = this.node(id);
    if (process === null || !process.paused) return;
    this.trace.line(this.now, id, 'resume');
    process.resume();
  }

  // ---- Time ---------------------------------------------------------------------------------------------------------

  /** Lets virtual time pass until `time`, or until something breaks. */
  runTo(time: number): void {
    this.runUntil(() => false, time);
  }

  /** Runs until `reached` holds (true) or `time` is over (false); looks after every event, or when so much time has passed. */
  runUntil(reached: () => boolean, time: number, everyMs = 0): boolean {
    let lookAt = this.now;
    for (;;) {
      if (this.#failure !== null) return false;
      if (this.now >= lookAt) {
        if (reached()) return true;
        lookAt = this.now + everyMs;
      }
      const next = this.scheduler.nextTime;
      if (next === null || next > time) break;
      this.check(() => this.scheduler.step());
    }
    this.scheduler.advance(time);
    return false;
  }

  /** The node that leads, if it is one and only one that lives and is awake. */
  get leader(): Node | null {
    const leaders = [...this.nodes.values()].filter(
      ({ process, node }) => process !== null && !process.paused && node?.leads() === true,
    );
    return leaders.length === 1 ? must(leaders[0], 'one leader').node : null;
  }

  // ---- What happens in a turn -----------------------------------------------------------------------------------------

  /** A machine with an empty disk; it runs nothing yet. */
  addNode(plan: NodePlan): void {
    const { id, role } = plan.config;
    const disk = new SimDisk({
      scheduler: this.scheduler,
      prng: this.prng.fork(),
      speed: this.#options.disk,
      acknowledgesEarly: this.#options.bugs?.acknowledgesEarly === true,
      ignoresChecksums: this.#options.bugs?.ignoresChecksums === true,
      ignoresMark: this.#options.bugs?.ignoresMark === true,
      failed: (batch) => this.trace.count(`write ${batch} by a failure`),
      durable: (process, batch, log) => {
        if (plan.config.role !== 'voter') return;
        this.check(() => this.raft.durable(process, batch, log));
        this.branches.durable(id, batch, log);
      },
    });
    const unborn = { lives: 0, process: null, node: null, executor: null, comparedIndex: 0, refused: false };
    this.nodes.set(id, { plan, disk, ...unborn });
    if (role !== 'voter') return;
    this.raft.addVoter(id, () => disk.log);
  }

  #executor(sim: SimNode, process: Process): SimExecutor {
    return new SimExecutor({
      process,
      scheduler: this.scheduler,
      prng: this.prng.fork(),
      ledger: this.auditor.ledger,
      trace: this.trace,
      slots: sim.plan.config.slots,
      model: (job) => must(this.models.get(job), `job ${job} has a model`),
      releaseMsMax: this.#options.releaseMsMax,
      obeysDeadline: this.#options.bugs?.ignoresDeadline !== true,
      blobs: this.blobs(() => sim.plan.config.id),
      takings: this.takings,
      foldsInAnyOrder: this.#options.bugs?.foldsInAnyOrder === true,
      diesAfterKeeping: () => this.diesAfterKeeping,
    });
  }

  /** Where job code leaves what it emits: through this node. */
  blobs(entrance: Entrance): Blobs {
    return {
      store: (handle, done) => {
        const told = (stored: Stored | null): void => {
          if (stored !== null) this.outputs.stored(handle, stored);
          done(stored);
        };
        // A lost voter would else hold up every other window for as long as a silent one is waited for.
        this.shelves.store(entrance(), handle.hash, told, 0);
      },
      isReadable: (hash) => this.shelves.isReadable(entrance(), hash),
      stageBegins: (order, stage) => this.check(() => this.outputs.stageBegins(order, stage)),
    };
  }

  #sent(from: Process, to: NodeId, message: WireMessage): void {
    this.check(() => this.raft.sent(from, message));
    this.branches.sent(message);
    if (message.type === 'snapshot-chunk') this.trace.count('snapshot chunk');
    if (message.type !== 'reported') return;
    // The leader applied these in the turn that is not over yet; the auditor follows when it is.
    this.#afterTurn.push(() => this.auditor.reported(message.results));
    this.trace.note(this.now, from.id, () => `reported to ${to}: ${JSON.stringify(message.results)}`);
  }

  #turned(process: Process, kind: TurnKind, sim: SimNode): void {
    // Whatever a turn changed, its pump follows, and only the pump applies.
    if (kind !== 'soon') return;
    const replica = sim.node?.replica ?? null;
    const waiting = this.#afterTurn;
    if (waiting.length > 0) this.#afterTurn = [];
    if (replica === null) return;
    this.check(() => {
      if (sim.node !== null) this.grants.turned(process, sim.node, replica);
      const status = replica.raft.status();
      this.raft.turned(process, status);
      this.branches.turned(process, status, sim.disk, this.now);
      if (status.role === 'leader' && status.voters.length > 1) this.#leadsWithDisk(process, sim.disk);
      for (const run of waiting) run();
      const { appliedIndex } = replica.table;
      if (appliedIndex < sim.comparedIndex + HASH_EVERY_ENTRIES) return;
      sim.comparedIndex = appliedIndex;
      this.auditor.compare(process.id, replica);
    });
  }

  /** Heartbeats need no disk; yet a leader whose own disk hangs must give way to one whose disk serves. */
  #leadsWithDisk(process: Process, disk: SimDisk): void {
    const since = Math.max(disk.writingSince ?? this.now, process.awakeSince);
    const waited = this.now - since;
    expectThat(
      waited <= STALLED_LEADER_MS_MAX,
      () => `${process.id} leads though its disk has hung for ${waited.toFixed(0)} ms`,
    );
  }

  #threw(process: Process, error: unknown): void {
    this.fail(`${process.id} threw: ${error instanceof Error ? error.stack : String(error)}`);
  }

  /** A node that says that it cannot go on has either a failing disk, which is the world's doing, or a fault. */
  #fatal(process: Process, error: Error): void {
    this.trace.line(this.now, process.id, `fatal: ${errorText(error)}`);
    const code = error instanceof PolarisError ? error.code : null;
    const isRemoved = this.auditor.electorate.wasRemoved(process.id);
    const isExpected =
      code === 'DISK_FAILED' ||
      (code === 'INSTANCE_MISMATCH' && this.#wiped.has(process.id)) ||
      // A learner may be removed before it was told that it was taken in, and then asks once more.
      ((code === 'REMOVED' || code === 'BAD_MEMBERSHIP') && isRemoved);
    if (code !== null) {
      this.endings.push({ id: process.id, code });
      this.trace.count(`ended ${code}`);
    }
    if (error instanceof Violation) return this.fail(error.stack ?? error.message);
    if (!isExpected) this.fail(`${process.id} ended itself: ${error.stack ?? error.message}`);
    this.trace.count('fatal');
    const sim = this.node(process.id);
    this.scheduler.after(0, () => {
      if (sim.process === process) this.crash(process.id);
    });
  }

  #logger(id: NodeId): Logger {
    const say = (fields: object, event: string): void => {
      this.trace.count(`log ${event}`);
      // What becomes of transfers shows in the log only: 'snapshot sent', 'resumed', 'replaced', 'gave up' and others.
      if (event.startsWith('snapshot-')) this.trace.count(event.replaceAll('-', ' '));
      this.trace.note(this.now, id, () => `${event} ${JSON.stringify(fields)}`);
    };
    return { debug: say, info: say, warn: say, error: say };
  }
}
