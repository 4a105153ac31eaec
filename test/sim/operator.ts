/**
 * Operator: the person at the console. Changes the controls of jobs while they run, puts schedules and drops them, sends
 * workers to rest and wakes them, and asks again where it matters that it is done.
 *
 * Invariants: after `stop`, once nothing is `pending`, no schedule stands and no worker rests.
 */
import { must } from '../../src/base/assert.ts';
import type { Prng } from '../../src/base/prng.ts';
import type { NodeId } from '../../src/base/types.ts';
import type { Client } from './clients.ts';
import type { SeedPlan } from './plan.ts';
import type { SchedulePlan } from './wishes.ts';
import { drawChange } from './wishes.ts';
import type { World } from './world.ts';

export interface OperatorOptions {
  readonly world: World;
  readonly plan: SeedPlan;
  readonly prng: Prng;
  readonly client: Client;
}

const AGAIN_MS = 500;
const REST_MS_MAX = 6_000;
/** By then, what was asked for before the end has been heard: the last word must come last. */
const LAST_WORD_MS = 1_000;

export class Operator {
  readonly #options: OperatorOptions;
  /** Workers that were asked to rest. */
  readonly #asked = new Set<NodeId>();
  /** Workers that are being woken, or of which nobody knows whether a call to wake them is still on its way. */
  readonly #waking = new Set<NodeId>();
  /** How often somebody asked for each to wake. */
  readonly #wakes = new Map<NodeId, number>();
  #on = false;
  #pending = 0;

  constructor(options: OperatorOptions) {
    this.#options = options;
    const models = new Map(options.plan.wishes.schedules.map(({ schedule, model }) => [schedule.key, model]));
    const { auditor, models: known } = options.world;
    auditor.onApplied(({ command, outcome }) => {
      if (command?.kind !== 'fire-schedule' || outcome.kind !== 'created') return;
      known.set(outcome.id, must(models.get(command.key), 'a schedule of the plan'));
    });
  }

  /** Whether something is still to be done that must not be left undone. */
  get isBusy(): boolean {
    return this.#pending > 0;
  }

  start(): void {
    this.#on = true;
    const { world, plan } = this.#options;
    const { schedules, setEveryMs, restEveryMs } = plan.wishes;
    for (const one of schedules) world.scheduler.after(one.putAt, () => this.#put(one));
    this.#arm(setEveryMs, () => this.#set());
    this.#arm(restEveryMs, () => this.#rest());
  }

  stop(): void {
    this.#on = false;
    this.#pending += 1;
    this.#options.world.scheduler.after(LAST_WORD_MS, () => {
      this.#pending -= 1;
      this.#undo();
    });
  }

  #undo(): void {
    const { client, plan } = this.#options;
    for (const { schedule } of plan.wishes.schedules) {
      this.#persist((done) => client.dropSchedule(schedule.key, done), ['NOT_FOUND']);
    }
    for (const id of this.#asked) this.#wake(id);
  }

  #arm(meanMs: number, act: () => void): void {
    if (meanMs === Number.POSITIVE_INFINITY) return;
    const { world, prng } = this.#options;
    world.scheduler.after(-Math.log(1 - prng.next()) * meanMs, () => {
      if (!this.#on) return;
      act();
      this.#arm(meanMs, act);
    });
  }

  #set(): void {
    const { plan, prng, client } = this.#options;
    const job = must(plan.jobs[prng.integer(0, plan.jobs.length)], 'a job');
    client.set(job.spec.id, drawChange(prng, job));
  }

  /** Once, and put anew now and then, as people do who change their minds. */
  #put(one: SchedulePlan): void {
    const { world, prng, client } = this.#options;
    if (!this.#on) return;
    client.putSchedule(one.schedule, (code) => {
      if (code !== 'ok') return void world.scheduler.after(AGAIN_MS, () => this.#put(one));
      if (prng.chance(0.3)) world.scheduler.after(prng.next() * 10_000, () => this.#put(one));
    });
  }

  #rest(): void {
    const { world, prng, client } = this.#options;
    const workers = [...world.nodes.values()].filter(({ plan }) => {
      return plan.config.slots > 0 && !this.#waking.has(plan.config.id);
    });
    if (workers.length === 0) return;
    const sim = must(workers[prng.integer(0, workers.length)], 'a worker');
    const { id } = sim.plan.config;
    const life = sim.lives;
    this.#asked.add(id);
    const wakes = this.#wakes.get(id) ?? 0;
    client.rest(id, true, (code) => {
      world.trace.count(`rest ${code}`);
      // Whoever wakes it meanwhile, after another rest perhaps, has the last word.
      const isWoken = wakes !== (this.#wakes.get(id) ?? 0);
      if (code === 'ok' && !isWoken && sim.lives === life && sim.process !== null) world.grants.rests(id, life);
    });
    world.scheduler.after(prng.next() * REST_MS_MAX, () => this.#wake(id));
  }

  #wake(id: NodeId): void {
    const { client, world } = this.#options;
    this.#waking.add(id);
    this.#noteWake(id);
    let isUnsure = false;
    this.#persist((done) => {
      // A node that was taken away or is down has nobody to wake; one that is started anew has slept it off.
      if (world.node(id).process === null || this.#isForlorn(id)) return done('ok');
      // Each time that it is asked it may be done, also after another rest: several wakings may be under way.
      this.#noteWake(id);
      client.rest(id, false, (code) => {
        isUnsure ||= code === 'TIMED_OUT';
        if (code === 'ok' && !isUnsure) this.#waking.delete(id);
        done(code);
      });
    }, []);
  }

  /**
   * Who was started with the addresses of members that are all gone by now, and is no member itself, finds nobody, and is in no
   * session to wake.
   */
  #isForlorn(id: NodeId): boolean {
    const { world } = this.#options;
    const { join } = world.node(id).plan.config;
    const { members } = world.auditor.electorate;
    const addresses = new Set([...members.values()].map(({ address }) => address));
    return join.length > 0 && !members.has(id) && !join.some((address) => addresses.has(address));
  }

  #noteWake(id: NodeId): void {
    this.#options.world.grants.wakes(id);
    this.#wakes.set(id, (this.#wakes.get(id) ?? 0) + 1);
  }

  /** Until it is done, or need not be. */
  #persist(ask: (done: (code: string) => void) => void, enough: readonly string[]): void {
    this.#pending += 1;
    const again = (): void => {
      ask((code) => {
        if (code === 'ok' || enough.includes(code)) this.#pending -= 1;
        else this.#options.world.scheduler.after(AGAIN_MS, again);
      });
    };
    again();
  }
}
