/**
 * Which export of a module is its job type. Read by shape and not by `instanceof`: a folder of job types may resolve
 * another copy of the package, or none.
 */
import { pathToFileURL } from 'node:url';
import { errorText } from '../base/errors.ts';
import { METADATA_BYTES_MAX } from '../base/limits.ts';
import type { Collecting, DeliveriesWhen, JsonSchema } from '../daemon/env.ts';
import { DELIVERIES } from '../ranges/deliveries.ts';
import type { Delivery } from '../ranges/types.ts';
import type { Client } from './client.ts';
import type { Master } from './master.ts';
import type { JobTypeKind } from './protocol.ts';

/** Without the help of the job type. */
const KEPT_BY_POLARIS: readonly Delivery[] = ['at-least-once', 'at-most-once'];

export type MasterClass = new () => Master;

const OVERSEEING = ['onProgress', 'onComplete'];
const PLANNING_AND_COLLECTING = ['plan', 'collect'];

/** What a type says of itself, before anybody has looked at it. */
interface Declared {
  readonly metadata?: unknown;
  readonly deliveries?: unknown;
  readonly deliveriesWhen?: unknown;
}

export type ClientClass = (new () => Client) & Declared;

interface ExportedHalves {
  readonly declared: Declared;
  /** Null where nobody oversees. */
  readonly master: MasterClass | null;
}

export type ExportedType =
  | (ExportedHalves & { readonly kind: Extract<JobTypeKind, 'client' | 'pipeline'>; readonly type: ClientClass })
  | (ExportedHalves & { readonly kind: Extract<JobTypeKind, 'program'> });

export interface Description {
  readonly kind: JobTypeKind;
  readonly metadataSchema: JsonSchema | null;
  readonly deliveries: readonly Delivery[];
  readonly overseen: boolean;
  readonly plans: boolean;
  readonly collects: Collecting | null;
  readonly deliveriesWhen: DeliveriesWhen;
}

/**
 * A module exports one class with a `work` method, or one object with `kind: 'program'`, of jobs whose metadata is the
 * command that the job host runs (see command.ts); and beside it one class that oversees (see master.ts), if it likes. @throws Error when it exports none of the first, or several of either.
 */
export function exportedClass(module: Readonly<Record<string, unknown>>): ExportedType {
  const found = new Set(Object.values(module).filter((value) => isClient(value) || isProgram(value)));
  if (found.size !== 1) {
    throw new Error(`its index.js exports ${found.size} classes with a work() method; it must export exactly one`);
  }
  const masters = new Set(Object.values(module).filter(isMaster));
  if (masters.size > 1) {
    throw new Error(`its index.js exports ${masters.size} classes that oversee, and may export one`);
  }
  const [type] = found;
  const [master = null] = masters;
  if (isMaster(type)) throw new Error('its index.js exports a class that works and oversees: these are two classes');
  if (isProgram(type)) return { kind: 'program', declared: type, master };
  if (isClient(type)) return { kind: isPipeline(type) ? 'pipeline' : 'client', declared: type, master, type };
  throw new Error('its index.js exports no class with a work() method');
}

function isClient(value: unknown): value is ClientClass {
  return typeof value === 'function' && hasMethod(value, 'work');
}

/** See pipeline.ts. */
function isPipeline(type: ClientClass): boolean {
  return 'kind' in type && type.kind === 'pipeline';
}

/** A class that works may call a helper of its own `plan` or `collect`. */
function isMaster(value: unknown): value is MasterClass {
  if (typeof value !== 'function') return false;
  const named = isClient(value) ? OVERSEEING : [...OVERSEEING, ...PLANNING_AND_COLLECTING];
  return named.some((method) => hasMethod(value, method));
}

function hasMethod({ prototype }: { readonly prototype: unknown }, method: string): boolean {
  return typeof (prototype as Readonly<Record<string, unknown>> | undefined)?.[method] === 'function';
}

function isProgram(value: unknown): value is { readonly kind: 'program' } & Declared {
  return typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'program';
}

/** Imports the module into this process. @throws Error with the reason when it is no job type. */
export async function describeModule(module: string): Promise<Description> {
  const { kind, declared, master } = exportedClass(await import(pathToFileURL(module).href));
  const deliveries = deliveriesOf(declared.deliveries);
  return {
    kind,
    metadataSchema: declared.metadata === undefined ? null : plainSchema('metadata', declared.metadata),
    deliveries,
    deliveriesWhen: deliveriesWhenOf(declared.deliveriesWhen, deliveries),
    overseen: master !== null,
    plans: master !== null && hasMethod(master, 'plan'),
    collects: master === null ? null : collectingOf(master),
  };
}

/** What was taken in must outlast the process that took it in, so `collect` alone is no Master. */
function collectingOf(type: MasterClass): Collecting | null {
  if (!hasMethod(type, 'collect')) {
    if (hasMethod(type, 'finish')) throw new Error('its Master has finish() and lacks collect()');
    return null;
  }
  const missing = ['state', 'restore'].filter((method) => !hasMethod(type, method));
  if (missing.length > 0) {
    const lacks = missing.map((method) => `${method}()`).join(' and ');
    throw new Error(`its Master has collect() and lacks ${lacks}: what it collects must outlast its process`);
  }
  let ordered: unknown;
  try {
    ordered = new type().ordered;
  } catch (thrown) {
    throw new Error(`its Master cannot be made: ${errorText(thrown)}`);
  }
  if (ordered === undefined || typeof ordered === 'boolean') return ordered === true ? 'in-order' : 'as-committed';
  throw new Error('ordered of its Master must be true or false');
}

function deliveriesOf(declared: unknown): readonly Delivery[] {
  if (declared === undefined) return KEPT_BY_POLARIS;
  const known = DELIVERIES.filter((delivery) => Array.isArray(declared) && declared.includes(delivery));
  if (Array.isArray(declared) && known.length > 0 && known.length === declared.length) return known;
  throw new Error(`static deliveries must list some of ${DELIVERIES.join(', ')}`);
}

function deliveriesWhenOf(declared: unknown, kept: readonly Delivery[]): DeliveriesWhen {
  if (declared === undefined) return {};
  const others = DELIVERIES.filter((delivery) => !kept.includes(delivery));
  if (typeof declared !== 'object' || declared === null || Array.isArray(declared)) {
    throw new Error(
      'static deliveriesWhen must be an object of JSON Schemas, one for each delivery that has a condition',
    );
  }
  const entries = Object.entries(declared).map(([name, schema]) => {
    const delivery = others.find((other) => other === name);
    if (delivery !== undefined) return [delivery, plainSchema(`deliveriesWhen["${delivery}"]`, schema)];
    throw new Error(
      `static deliveriesWhen may name ${others.join(', ')}, which are not kept anyway, and not "${name}"`,
    );
  });
  return Object.fromEntries(entries);
}

function plainSchema(name: string, schema: unknown): JsonSchema {
  if (typeof schema !== 'object' || schema === null || Array.isArray(schema)) {
    throw new Error(`static ${name} must be a JSON Schema object`);
  }
  let text: string;
  try {
    text = JSON.stringify(schema);
  } catch (thrown) {
    throw new Error(`static ${name} is no JSON: ${errorText(thrown)}`);
  }
  if (Buffer.byteLength(text) > METADATA_BYTES_MAX) {
    throw new Error(`static ${name} is larger than ${METADATA_BYTES_MAX} bytes`);
  }
  return JSON.parse(text);
}
