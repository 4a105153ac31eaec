/**
 * A node as HTTP sees it, over a real job table: what is submitted is applied at once, as if a majority had agreed.
 * A test sets whether it leads, whom it takes for the leader, and what should go wrong.
 */
import type { FastifyInstance } from 'fastify';
import { type ErrorCode, PolarisError } from '../../src/base/errors.ts';
import { SILENT } from '../../src/base/log.ts';
import { createPrng } from '../../src/base/prng.ts';
import type { Address, JobId, NodeId, Range } from '../../src/base/types.ts';
import type {
  ClusterStatus,
  Consistency,
  DataChange,
  Done,
  JobPace,
  MemberRequest,
  NodeApi,
  WorkerStatus,
} from '../../src/daemon/api.ts';
import { encodeBackup } from '../../src/daemon/backup.ts';
import type { JobTypeInfo } from '../../src/daemon/env.ts';
import { encodeImage, foundingRoster } from '../../src/daemon/roster.ts';
import type { RunnerAnswer, RunnerRequest } from '../../src/daemon/runner-api.ts';
import { createHttpServer } from '../../src/http/server.ts';
import type { Command, Controls, JobSpec, Outcome, ScheduleSpec, Table } from '../../src/ranges/types.ts';
import { MAIL, Pen } from '../ranges/fixtures.ts';

export const ID_1 = '11111111-1111-4111-8111-111111111111';
export const ID_2 = '11111111-1111-4111-8111-222222222222';

/** When every schedule is due. */
export const NEXT_AT = Date.parse('2026-01-02T03:00:00Z');

const MAIL_TYPE: JobTypeInfo = {
  name: MAIL,
  hash: 'h',
  exposure: 'window',
  overseen: false,
  deliveries: ['at-least-once', 'at-most-once'],
  metadataSchema: null,
};

export class FakeNode implements NodeApi {
  readonly id: string;
  readonly address: Address = '127.0.0.1:1';
  readonly instanceId = ID_1;
  /** What was asked of the membership. */
  readonly memberRequests: MemberRequest[] = [];
  readonly pen: Pen;
  types: readonly JobTypeInfo[] = [MAIL_TYPE];
  leading = true;
  leader: Address | null = null;
  /** Every write and linearizable read fails with it. */
  failure: ErrorCode | null = null;
  /** Writes are applied and never answered. */
  mute = false;
  checks = [
    { name: 'formed', ok: true },
    { name: 'leader', ok: true },
  ];
  speed: JobPace | null = null;
  /** What the leader says of every job that it holds. */
  throttled: string | null = null;
  readonly draining = new Set<NodeId>();
  waits = 0;

  /** Nodes with one pen are replicas of one log, all at the same place of it. */
  constructor(id = 'n1', pen = new Pen()) {
    this.id = id;
    this.pen = pen;
  }

  status(): ClusterStatus {
    return {
      ...{ id: null, leader: this.leading ? this.id : null, term: 3, commitIndex: 7, appliedIndex: 7, protocol: 1 },
      members: [{ id: this.id, address: this.address, role: 'leader', matchIndex: 7 }],
      workers: [],
    };
  }

  leads(): boolean {
    return this.leading;
  }

  leaderAddress(): Address | null {
    return this.leader;
  }

  awaitLeader(_waitMs: number, done: (found: boolean) => void): void {
    this.waits++;
    done(this.leading || this.leader !== null);
  }

  submit(spec: JobSpec, done: Done<Extract<Outcome, { kind: 'created' | 'exists' }>>): void {
    if (this.refused(done)) return;
    const outcome = this.pen.apply({ kind: 'submit-job', stamp: null, spec });
    if (this.mute) return;
    if (outcome.kind === 'created' || outcome.kind === 'exists') done({ ok: true, value: outcome });
    else done({ ok: false, error: errorOf(outcome) });
  }

  control(id: JobId, action: 'pause' | 'resume' | 'cancel', done: Done<void>): void {
    this.change({ kind: 'control-job', at: this.pen.at, id, action }, done);
  }

  retry(id: JobId, range: Range | null, uncertain: boolean, done: Done<void>): void {
    this.change({ kind: 'retry-job', at: this.pen.at, id, range, uncertain }, done);
  }

  set(id: JobId, changes: Partial<Controls>, done: Done<void>): void {
    this.change({ kind: 'set-job', at: this.pen.at, id, changes }, done);
  }

  putSchedule(schedule: ScheduleSpec, done: Done<void>): void {
    this.change({ kind: 'put-schedule', at: this.pen.at, schedule, nextAt: NEXT_AT }, done);
  }

  dropSchedule(key: string, done: Done<void>): void {
    this.change({ kind: 'drop-schedule', at: this.pen.at, key }, done);
  }

  changeData(change: DataChange, done: Done<Outcome>): void {
    if (this.refused(done)) return;
    const outcome = this.pen.apply(change);
    if (outcome.kind === 'refused') done({ ok: false, error: errorOf(outcome) });
    else done({ ok: true, value: outcome });
  }

  drainWorker(id: NodeId, draining: boolean, done: Done<void>): void {
    if (this.refused(done)) return;
    if (this.pen.table.worker(id) === undefined) {
      return done({ ok: false, error: new PolarisError('NOT_FOUND', `there is no worker "${id}"`) });
    }
    if (draining) this.draining.add(id);
    else this.draining.delete(id);
    done({ ok: true, value: undefined });
  }

  workers(): readonly WorkerStatus[] | null {
    if (!this.leading) return null;
    return [...this.pen.table.workers()].map(({ id, address, slots, epochs }) => {
      return { id, address, slots, busy: epochs.length, draining: this.draining.has(id) };
    });
  }

  holdOf(): string | null {
    return this.throttled;
  }

  changeMembers(request: MemberRequest, done: Done<void>): void {
    if (this.refused(done)) return;
    this.memberRequests.push(request);
    done({ ok: true, value: undefined });
  }

  read<T>(consistency: Consistency, look: (table: Table) => T, done: Done<T>): void {
    if (consistency === 'linearizable' && this.refused(done)) return;
    done({ ok: true, value: look(this.pen.table) });
  }

  backup(done: Done<Uint8Array>): void {
    if (this.refused(done)) return;
    const { table } = this.pen;
    const roster = foundingRoster([{ id: this.id, instanceId: this.instanceId, address: this.address }]);
    const image = encodeImage(roster, table.snapshot());
    const value = encodeBackup({ clusterId: ID_2, index: table.appliedIndex, term: 3, at: this.pen.at, image });
    done({ ok: true, value });
  }

  pace(): JobPace | null {
    return this.speed;
  }

  readiness(): readonly { readonly name: string; readonly ok: boolean }[] {
    return this.checks;
  }

  /** Answers what runners ask, and writes it down; a test says how. */
  readonly questions: RunnerRequest[] = [];
  answerRunner: (request: RunnerRequest, done: Done<RunnerAnswer>) => void = () => {};
  takenBack = 0;

  runner(request: RunnerRequest, done: Done<RunnerAnswer>): () => void {
    if (this.refused(done)) return () => {};
    this.questions.push(request);
    let isOpen = true;
    this.answerRunner(request, (result) => {
      isOpen = false;
      done(result);
    });
    return () => {
      if (isOpen) this.takenBack++;
      isOpen = false;
    };
  }

  private change(command: Command, done: Done<void>): void {
    if (this.refused(done)) return;
    const outcome = this.pen.apply(command);
    if (this.mute) return;
    if (outcome.kind === 'ok') done({ ok: true, value: undefined });
    else done({ ok: false, error: errorOf(outcome) });
  }

  private refused<T>(done: Done<T>): boolean {
    const code = this.failure ?? (this.leading ? null : 'NO_LEADER');
    if (code !== null) done({ ok: false, error: new PolarisError(code) });
    return code !== null;
  }
}

function errorOf(outcome: Outcome): PolarisError {
  if (outcome.kind === 'refused') return new PolarisError(outcome.code, outcome.detail);
  return new PolarisError('INTERNAL', outcome.kind);
}

export function serverOf(node: FakeNode): FastifyInstance {
  return createHttpServer({ api: node, log: SILENT, prng: createPrng(1) });
}

/** Listens on a free loopback port and gives HOST:PORT. */
export async function listen(app: FastifyInstance): Promise<Address> {
  await app.listen({ host: '127.0.0.1', port: 0 });
  const address = app.server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return `127.0.0.1:${address.port}`;
}
