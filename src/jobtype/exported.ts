/**
 * Which export of a module is its job type. Read by shape and not by `instanceof`: a folder of job types may resolve
 * another copy of the package, or none.
 */
import { pathToFileURL } from 'node:url';
import { errorText } from '../base/errors.ts';
import { METADATA_BYTES_MAX } from '../base/limits.ts';
import type { DeliveriesWhen, JsonSchema } from '../daemon/env.ts';
import { DELIVERIES } from '../ranges/options.ts';
import type { Delivery } from '../ranges/types.ts';
import type { Client } from './client.ts';
import type { JobTypeKind } from './protocol.ts';

/** Without the help of the job type. */
const KEPT_BY_POLARIS: readonly Delivery[] = ['at-least-once', 'at-most-once'];

/** What a type says of itself, before anybody has looked at it. */
interface Declared {
  readonly metadata?: unknown;
  readonly deliveries?: unknown;
  readonly deliveriesWhen?: unknown;
}

export type ClientClass = (new () => Client) & Declared;

export type ExportedType =
  | { readonly kind: Extract<JobTypeKind, 'client'>; readonly declared: Declared; readonly type: ClientClass }
  | { readonly kind: Extract<JobTypeKind, 'program'>; readonly declared: Declared };

export interface Description {
  readonly kind: JobTypeKind;
  readonly metadataSchema: JsonSchema | null;
  readonly deliveries: readonly Delivery[];
  readonly deliveriesWhen: DeliveriesWhen;
}

/**
 * A module exports one class with a `work` method, or one object with `kind: 'program'`, of jobs whose metadata is the
 * command that the job host runs (see command.ts). @throws Error when it exports none or several.
 */
export function exportedClass(module: Readonly<Record<string, unknown>>): ExportedType {
  const found = new Set(Object.values(module).filter((value) => isClient(value) || isProgram(value)));
  if (found.size !== 1) {
    throw new Error(`its index.js exports ${found.size} classes with a work() method; it must export exactly one`);
  }
  const [type] = found;
  if (isProgram(type)) return { kind: 'program', declared: type };
  if (isClient(type)) return { kind: 'client', declared: type, type };
  throw new Error('its index.js exports no class with a work() method');
}

function isClient(value: unknown): value is ClientClass {
  return typeof value === 'function' && typeof value.prototype?.work === 'function';
}

function isProgram(value: unknown): value is { readonly kind: 'program' } & Declared {
  return typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'program';
}

/** Imports the module into this process. @throws Error with the reason when it is no job type. */
export async function describeModule(module: string): Promise<Description> {
  const { kind, declared } = exportedClass(await import(pathToFileURL(module).href));
  const deliveries = deliveriesOf(declared.deliveries);
  return {
    kind,
    metadataSchema: declared.metadata === undefined ? null : plainSchema('metadata', declared.metadata),
    deliveries,
    deliveriesWhen: deliveriesWhenOf(declared.deliveriesWhen, deliveries),
  };
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
