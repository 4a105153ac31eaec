/**
 * Which export of a module is its job type. Read by shape and not by `instanceof`: a folder of job types may resolve
 * another copy of the package, or none.
 */
import { pathToFileURL } from 'node:url';
import { errorText } from '../base/errors.ts';
import { METADATA_BYTES_MAX } from '../base/limits.ts';
import { DELIVERIES } from '../ranges/options.ts';
import type { Delivery } from '../ranges/types.ts';
import type { Client } from './client.ts';
import type { Master } from './master.ts';
import type { JobTypeKind } from './protocol.ts';

/** Without the help of the job type. */
const KEPT_BY_POLARIS: readonly Delivery[] = ['at-least-once', 'at-most-once'];

export type MasterClass = new () => Master;

export type ClientClass = (new () => Client) & { readonly metadata?: unknown; readonly deliveries?: unknown };

interface ExportedHalves {
  readonly metadata: unknown;
  readonly deliveries: unknown;
  /** Null where nobody oversees. */
  readonly master: MasterClass | null;
}

export type ExportedType =
  | (ExportedHalves & { readonly kind: Extract<JobTypeKind, 'client'>; readonly type: ClientClass })
  | (ExportedHalves & { readonly kind: Extract<JobTypeKind, 'program'> });

export interface Description {
  readonly kind: JobTypeKind;
  readonly metadataSchema: Readonly<Record<string, unknown>> | null;
  readonly deliveries: readonly Delivery[];
  readonly overseen: boolean;
}

/**
 * A module exports one class with a `work` method, or one object with `kind: 'program'`, of jobs whose metadata is the
 * command that the job host runs (see command.ts); and beside it one class with an `onProgress` or `onComplete` method, if
 * it likes. @throws Error when it exports none of the first, or several of either.
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
  if (isProgram(type)) return { kind: 'program', metadata: type.metadata, deliveries: type.deliveries, master };
  if (isClient(type)) return { kind: 'client', metadata: type.metadata, deliveries: type.deliveries, master, type };
  throw new Error('its index.js exports no class with a work() method');
}

function isClient(value: unknown): value is ClientClass {
  return typeof value === 'function' && typeof value.prototype?.work === 'function';
}

function isMaster(value: unknown): value is MasterClass {
  if (typeof value !== 'function') return false;
  const { onProgress, onComplete } = value.prototype ?? {};
  return typeof onProgress === 'function' || typeof onComplete === 'function';
}

function isProgram(
  value: unknown,
): value is { readonly kind: 'program'; readonly metadata?: unknown; readonly deliveries?: unknown } {
  return typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'program';
}

/** Imports the module into this process. @throws Error with the reason when it is no job type. */
export async function describeModule(module: string): Promise<Description> {
  const type = exportedClass(await import(pathToFileURL(module).href));
  const { kind, metadata, deliveries, master } = type;
  const overseen = master !== null;
  return { kind, metadataSchema: plainSchema(metadata), deliveries: deliveriesOf(deliveries), overseen };
}

function deliveriesOf(declared: unknown): readonly Delivery[] {
  if (declared === undefined) return KEPT_BY_POLARIS;
  const known = DELIVERIES.filter((delivery) => Array.isArray(declared) && declared.includes(delivery));
  if (Array.isArray(declared) && known.length > 0 && known.length === declared.length) return known;
  throw new Error(`static deliveries must list some of ${DELIVERIES.join(', ')}`);
}

function plainSchema(schema: unknown): Description['metadataSchema'] {
  if (schema === undefined) return null;
  if (typeof schema !== 'object' || schema === null || Array.isArray(schema)) {
    throw new Error('static metadata must be a JSON Schema object');
  }
  let text: string;
  try {
    text = JSON.stringify(schema);
  } catch (thrown) {
    throw new Error(`static metadata is no JSON: ${errorText(thrown)}`);
  }
  if (Buffer.byteLength(text) > METADATA_BYTES_MAX) {
    throw new Error(`static metadata is larger than ${METADATA_BYTES_MAX} bytes`);
  }
  return JSON.parse(text);
}
