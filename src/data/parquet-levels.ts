/**
 * Parquet levels: from the leaves of a nested column to our columns.
 *
 * Whether a struct is null and how long a list is can be read off the levels of any leaf below; the first one is asked.
 * A slot of a leaf is a row of a node around it where it begins one (its repetition is that of the node or less) and
 * where the lists around the node are not empty (its definition says so).
 */
import { isUtf8 } from 'node:buffer';
import type { Data } from 'apache-arrow';
import { PolarisError } from '../base/errors.ts';
import { setBit } from './bits.ts';
import { dataOf, makeColumn } from './build.ts';
import { kindOf } from './column-type.ts';
import { badParquet, type ColumnPages, type GroupBudget, spendBytes } from './parquet-pages.ts';
import type { LeafNode, ListNode, ParquetNode, StructNode } from './parquet-schema.ts';
import type { Value } from './values.ts';

export type PagesOf = (leaf: LeafNode) => ColumnPages;

export function assemble(node: ParquetNode, pages: PagesOf, budget: GroupBudget): Data {
  switch (node.kind) {
    case 'leaf':
      return assembleLeaf(node, pages(node), budget);
    case 'struct':
      return assembleStruct(node, pages, budget);
    case 'list':
      return assembleList(node, pages, budget);
  }
}

function firstLeaf(node: ParquetNode): LeafNode {
  if (node.kind === 'leaf') return node;
  return firstLeaf(node.kind === 'list' ? node.child : node.children[0]!);
}

/** Calls for each slot that lies in some row of the node. */
function eachSlot(
  node: ParquetNode,
  pages: ColumnPages,
  visit: (definition: number, repetition: number) => void,
): void {
  const { definitions, repetitions, slots } = pages;
  for (let slot = 0; slot < slots; slot++) {
    const definition = definitions.length > 0 ? definitions[slot]! : Number.MAX_SAFE_INTEGER;
    if (definition < node.around) continue;
    visit(definition, repetitions.length > 0 ? repetitions[slot]! : 0);
  }
}

function assembleLeaf(node: LeafNode, pages: ColumnPages, budget: GroupBudget): Data {
  const values: Value[] = [];
  let next = 0;
  let bytes = 0;
  eachSlot(node, pages, (definition) => {
    if (definition < node.present) {
      values.push(null);
      return;
    }
    const stored = pages.values[next++];
    if (stored === undefined) throw badParquet('a column has fewer values than it claims');
    const value = node.read(stored);
    bytes += value instanceof Uint8Array ? value.byteLength + 8 : 8;
    values.push(value);
  });
  spendBytes(budget, bytes);
  if (kindOf(node.field.type) === 'utf8') requireText(node, values);
  return dataOf(node.field.type, values);
}

function requireText(node: LeafNode, values: readonly Value[]): void {
  const row = values.findIndex((value) => value !== null && !isUtf8(value as Uint8Array));
  if (row < 0) return;
  throw new PolarisError('BAD_DATA', `Parquet: value ${row + 1} of column ${node.element.name} is not UTF-8.`);
}

function assembleStruct(node: StructNode, pages: PagesOf, budget: GroupBudget): Data {
  const children = node.children.map((child) => assemble(child, pages, budget));
  const first = pages(firstLeaf(node));
  const valid: boolean[] = [];
  eachSlot(node, first, (definition, repetition) => {
    if (repetition <= node.repetition) valid.push(definition >= node.present);
  });
  requireLengths(children, valid.length);
  return makeColumn({ type: node.field.type, length: valid.length, ...validity(valid), children });
}

function assembleList(node: ListNode, pages: PagesOf, budget: GroupBudget): Data {
  const child = assemble(node.child, pages, budget);
  const valid: boolean[] = [];
  const lengths: number[] = [];
  eachSlot(node, pages(firstLeaf(node)), (definition, repetition) => {
    if (repetition <= node.repetition) {
      valid.push(definition >= node.present);
      lengths.push(definition >= node.filled ? 1 : 0);
    } else if (repetition === node.repetition + 1) {
      // What repeats deeper is inside an element that was counted.
      if (lengths.length === 0) throw badParquet('a list goes on before it begins');
      lengths[lengths.length - 1]!++;
    }
  });
  const valueOffsets = new Int32Array(lengths.length + 1);
  lengths.forEach((length, at) => {
    valueOffsets[at + 1] = valueOffsets[at]! + length;
  });
  requireLengths([child], valueOffsets.at(-1) ?? 0);
  return makeColumn({ type: node.field.type, length: valid.length, ...validity(valid), valueOffsets, child });
}

function requireLengths(children: readonly Data[], length: number): void {
  if (children.every((child) => child.length === length)) return;
  throw badParquet('the parts of a nested column are of different lengths');
}

function validity(valid: readonly boolean[]): { nullCount: number; nullBitmap?: Uint8Array } {
  const nullCount = valid.filter((isValid) => !isValid).length;
  if (nullCount === 0) return { nullCount };
  const nullBitmap = new Uint8Array((valid.length + 7) >> 3);
  valid.forEach((isValid, at) => {
    if (isValid) setBit(nullBitmap, at);
  });
  return { nullCount, nullBitmap };
}
