/**
 * Parquet schema: the tree of groups in a file, as columns of ours and as the levels that their values carry.
 *
 * A value of a nested column stands with two small numbers: how much of its path is there (definition), and at which of
 * the lists around it a new element begins (repetition). Each node here knows at which of them it is there.
 */
import { Field, List, Map_, Schema, Struct } from 'apache-arrow';
import type { FileMetaData, SchemaElement } from 'hyparquet';
import { PolarisError } from '../base/errors.ts';
import { COLUMNS_MAX, SCHEMA_DEPTH_MAX } from '../base/limits.ts';
import { nameText } from './column-type.ts';
import { type LeafType, leafType } from './parquet-types.ts';
import { plainSchema } from './schema.ts';

interface NodeBase {
  readonly field: Field;
  /** It is not null where the definition is at least this. */
  readonly present: number;
  /** Repetition of the innermost list around it; a new row of it begins at this or less. */
  readonly repetition: number;
  /** Where the definition is less, a list around it is empty or null, and there is no row of it at all. */
  readonly around: number;
}
export interface LeafNode extends NodeBase {
  readonly kind: 'leaf';
  /** Among all leaves of the file. */
  readonly index: number;
  readonly element: SchemaElement;
  readonly read: LeafType['read'];
}
export interface StructNode extends NodeBase {
  readonly kind: 'struct';
  readonly children: readonly ParquetNode[];
}
export interface ListNode extends NodeBase {
  readonly kind: 'list';
  /** It has an element where the definition is at least this. */
  readonly filled: number;
  readonly child: ParquetNode;
}
export type ParquetNode = LeafNode | StructNode | ListNode;

export interface ParquetSchema {
  readonly schema: Schema;
  readonly columns: readonly ParquetNode[];
  readonly leaves: readonly LeafNode[];
}

interface Tree {
  readonly element: SchemaElement;
  readonly children: readonly Tree[];
}

export function readParquetSchema({ schema: elements }: FileMetaData): ParquetSchema {
  if (elements.length > 3 * COLUMNS_MAX + 1)
    throw new PolarisError('BAD_SCHEMA', `A schema may have ${COLUMNS_MAX} columns.`);
  const cursor = { at: 0 };
  const root = readTree(elements, cursor, 0);
  if (cursor.at !== elements.length) throw new PolarisError('BAD_DATA', 'Parquet: its schema has loose ends.');
  const leaves: LeafNode[] = [];
  const top: Place = { path: '', definition: 0, repetition: 0, around: 0, leaves };
  const columns = root.children.map((child) => nodeOf(child, top));
  return { schema: plainSchema(new Schema(columns.map((column) => column.field))), columns, leaves };
}

/** Lists and maps have a group between two levels of ours. */
const TREE_DEPTH_MAX = 3 * SCHEMA_DEPTH_MAX;

function readTree(elements: readonly SchemaElement[], cursor: { at: number }, depth: number): Tree {
  const element = elements[cursor.at++];
  if (element === undefined || depth > TREE_DEPTH_MAX)
    throw new PolarisError('BAD_DATA', 'Parquet: its schema is no tree.');
  const children: Tree[] = [];
  const count = element.num_children ?? 0;
  while (children.length < count) children.push(readTree(elements, cursor, depth + 1));
  return { element, children };
}

interface Place {
  readonly path: string;
  readonly definition: number;
  readonly repetition: number;
  readonly around: number;
  readonly leaves: LeafNode[];
}

function inside(place: Place, name: string, definition: number): Place {
  const path = place.path === '' ? nameText(name) : `${place.path}.${nameText(name)}`;
  return { ...place, path, definition };
}

function nodeOf(tree: Tree, place: Place): ParquetNode {
  const { name, repetition_type: repeated } = tree.element;
  // Before there were list groups, a column was repeated as such: a list that is never null, of what the column is.
  if (repeated === 'REPEATED')
    return listOf({ tree, name, nullable: false, place: inside(place, name, place.definition) });
  const own = inside(place, name, place.definition + (repeated === 'OPTIONAL' ? 1 : 0));
  if (tree.children.length === 0) return leafOf(tree, own);
  const [repeatedChild] = tree.children;
  const isList = isAnnotated(tree, 'LIST') || isAnnotated(tree, 'MAP') || isAnnotated(tree, 'MAP_KEY_VALUE');
  if (isList && tree.children.length === 1 && repeatedChild?.element.repetition_type === 'REPEATED') {
    const isMap = !isAnnotated(tree, 'LIST') && repeatedChild.children.length === 2;
    return listOf({ tree: repeatedChild, name, nullable: repeated === 'OPTIONAL', place: own, isMap });
  }
  return structOf(tree, own);
}

function isAnnotated({ element }: Tree, name: string): boolean {
  return element.converted_type === name || element.logical_type?.type === name;
}

function base(tree: Tree, place: Place): Omit<NodeBase, 'field'> & { nullable: boolean } {
  const { definition, repetition, around } = place;
  return { present: definition, repetition, around, nullable: tree.element.repetition_type === 'OPTIONAL' };
}

function leafOf(tree: Tree, place: Place): LeafNode {
  const leaf = leafType(tree.element);
  if (leaf === null) {
    const { type, converted_type: converted, type_length: length } = tree.element;
    const said = [type, converted, length].filter((part) => part !== undefined).join(' ');
    throw new PolarisError('BAD_SCHEMA', `Column ${place.path} is of the Parquet type ${said}, which is not carried.`);
  }
  const { nullable, ...levels } = base(tree, place);
  const field = new Field(tree.element.name, leaf.type, nullable);
  const node: LeafNode = {
    kind: 'leaf',
    ...levels,
    field,
    element: tree.element,
    read: leaf.read,
    index: place.leaves.length,
  };
  place.leaves.push(node);
  return node;
}

function structOf(tree: Tree, place: Place): StructNode {
  const children = tree.children.map((child) => nodeOf(child, place));
  const { nullable, ...levels } = base(tree, place);
  const type = new Struct(children.map((child) => child.field));
  return { kind: 'struct', ...levels, field: new Field(tree.element.name, type, nullable), children };
}

interface ListParts {
  /** What is repeated. */
  readonly tree: Tree;
  readonly name: string;
  readonly nullable: boolean;
  readonly place: Place;
  readonly isMap?: boolean;
}

function listOf({ tree, name, nullable, place, isMap = false }: ListParts): ListNode {
  const filled = place.definition + 1;
  const element: Place = { ...place, definition: filled, repetition: place.repetition + 1, around: filled };
  const child = elementOf(tree, name, element, isMap);
  const type = isMap ? mapOf(child) : new List(renamed(child.field, 'item'));
  const { definition, repetition, around } = place;
  return {
    kind: 'list',
    field: new Field(name, type, nullable),
    present: definition,
    repetition,
    around,
    filled,
    child,
  };
}

/** The repeated group stands for the list alone where it holds one column, unless its name says that it is the element. */
function elementOf(tree: Tree, listName: string, place: Place, isMap: boolean): ParquetNode {
  const required: Tree = { ...tree, element: { ...tree.element, repetition_type: 'REQUIRED' } };
  const isWrapper =
    tree.children.length === 1 && tree.element.name !== 'array' && tree.element.name !== `${listName}_tuple`;
  if (!isMap && isWrapper) return nodeOf(tree.children[0]!, place);
  return nodeOf(required, place);
}

function mapOf(entries: ParquetNode): Map_ {
  const [key, value] = entries.kind === 'struct' ? entries.children : [];
  if (key === undefined || value === undefined) throw new PolarisError('BAD_SCHEMA', 'A map has a key and a value.');
  const struct = new Struct([renamed(key.field, 'key'), renamed(value.field, 'value')]);
  return new Map_(new Field('entries', struct, false) as Field<Struct>);
}

function renamed({ type, nullable }: Field, name: string): Field {
  return new Field(name, type, nullable);
}
