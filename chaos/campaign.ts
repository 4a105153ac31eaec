/**
 * Campaign: many runs one after the other, each on a new cluster, and what came of them.
 */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Delivery } from '../src/ranges/types.ts';
import { type Plan, type ProgressOfRun, runExperiment } from './experiment.ts';
import { NEMESIS } from './nemeses.ts';
import type { ChaosReport, Mode, NemesisName, Row, RowSpec, SinkKind, Skipped } from './row.ts';
import { openSink, type Sink } from './sinks.ts';

export interface Grid {
  readonly lengths: readonly number[];
  readonly modes: readonly Mode[];
  readonly deliveries: readonly Delivery[];
  readonly sinks: readonly SinkKind[];
  /** Each list is one run of its own; an empty one has no nemesis beside the mode. */
  readonly nemeses: readonly (readonly NemesisName[])[];
}

export interface CampaignOptions {
  readonly plan: Plan;
  readonly rows: readonly RowSpec[];
  readonly interrupted: AbortSignal;
  readonly onProgress: (spec: RowSpec, progress: ProgressOfRun) => void;
  /** Logs and data of a run that broke a promise are kept in this directory. */
  readonly onRow: (row: Row, keptIn: string | null) => void;
}

/** Every combination, the lengths innermost. */
export function specsOf({ lengths, modes, deliveries, sinks, nemeses }: Grid): RowSpec[] {
  return sinks.flatMap((sink) =>
    deliveries.flatMap((delivery) =>
      modes.flatMap((mode) =>
        nemeses.flatMap((together) => lengths.map((length) => ({ length, mode, delivery, sink, nemeses: together }))),
      ),
    ),
  );
}

/** Leaves out what this machine cannot do, and runs of which nothing remains. */
export function feasible(
  specs: readonly RowSpec[],
  refusalOf: (name: NemesisName) => string | null = (name) => NEMESIS[name].refusal(),
): { readonly rows: readonly RowSpec[]; readonly skipped: readonly Skipped[] } {
  const reasons = new Map<NemesisName, string>();
  for (const name of new Set(specs.flatMap(({ nemeses }) => nemeses))) {
    const reason = refusalOf(name);
    if (reason !== null) reasons.set(name, reason);
  }
  const rows = specs.flatMap((spec) => {
    const nemeses = spec.nemeses.filter((name) => !reasons.has(name));
    return spec.mode === 'none' && spec.nemeses.length > 0 && nemeses.length === 0 ? [] : [{ ...spec, nemeses }];
  });
  return { rows, skipped: [...reasons].map(([nemesis, reason]) => ({ nemesis, reason })) };
}

export async function runCampaign(options: CampaignOptions): Promise<ChaosReport> {
  const { rows: specs, skipped } = feasible(options.rows);
  const dir = mkdtempSync(join(tmpdir(), 'polaris-chaos-'));
  // A server may run as a user of its own, who must get through to its directory; it need not look around.
  chmodSync(dir, 0o711);
  const sinks = new Map<SinkKind, Sink>();
  const rows: Row[] = [];
  let kept = false;
  try {
    for (const [at, spec] of specs.entries()) {
      const sink = sinks.get(spec.sink) ?? (await openSink(spec.sink, join(dir, spec.sink)));
      sinks.set(spec.sink, sink);
      const name = `run_${at + 1}`;
      const place = join(dir, name);
      const row = await runExperiment({
        ...{ plan: options.plan, spec, sink, name, dir: place, interrupted: options.interrupted },
        onProgress: (progress) => options.onProgress(spec, progress),
      });
      rows.push(row);
      const broke = row.broken.length > 0;
      kept ||= broke;
      if (!broke) rmSync(place, { recursive: true, force: true });
      options.onRow(row, broke ? place : null);
    }
  } finally {
    for (const sink of sinks.values()) await sink.close();
    if (!kept) rmSync(dir, { recursive: true, force: true });
  }
  return { seed: options.plan.seed, compress: options.plan.compress, rows, skipped };
}
