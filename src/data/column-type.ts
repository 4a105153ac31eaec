/**
 * The types of columns that Polaris carries, and one text for each.
 *
 * Arrow has several layouts for one meaning: a dictionary is a way to store its values, a view is a way to store text.
 * Inside Polaris there is one layout a meaning (`plainType`), so that a column of texts is a column of texts, whoever
 * wrote it. What has no meaning in most of the formats that we read and write (unions, intervals, runs) is refused by
 * name, at the edge, rather than lost later.
 *
 * Invariant: two types have the same text exactly when values move between them without change.
 */
import {
  Binary,
  type DataType,
  type DateUnit,
  type Decimal,
  type Dictionary,
  Field,
  type FixedSizeBinary,
  FixedSizeList,
  type Float,
  type Int,
  LargeList,
  List,
  Map_,
  Struct,
  type Timestamp,
  type TimeUnit,
  Type,
  Utf8,
} from 'apache-arrow';
import { must } from '../base/assert.ts';

export type Kind =
  | 'null'
  | 'bool'
  | 'int'
  | 'float'
  | 'decimal'
  | 'date'
  | 'time'
  | 'timestamp'
  | 'duration'
  | 'utf8'
  | 'binary'
  | 'fixed-binary'
  | 'list'
  | 'fixed-list'
  | 'struct'
  | 'map'
  | 'dictionary'
  | 'view';

/** `null` for a type that Polaris does not carry. */
export function kindOf(type: DataType): Kind | null {
  return KINDS.get(type.typeId) ?? null;
}

const KINDS: ReadonlyMap<Type, Kind> = new Map<Type, Kind>([
  [Type.Null, 'null'],
  [Type.Bool, 'bool'],
  [Type.Int, 'int'],
  [Type.Float, 'float'],
  [Type.Decimal, 'decimal'],
  [Type.Date, 'date'],
  [Type.Time, 'time'],
  [Type.Timestamp, 'timestamp'],
  [Type.Duration, 'duration'],
  [Type.Utf8, 'utf8'],
  [Type.LargeUtf8, 'utf8'],
  [Type.Binary, 'binary'],
  [Type.LargeBinary, 'binary'],
  [Type.FixedSizeBinary, 'fixed-binary'],
  [Type.List, 'list'],
  [Type.LargeList, 'list'],
  [Type.FixedSizeList, 'fixed-list'],
  [Type.Struct, 'struct'],
  [Type.Map, 'map'],
  [Type.Dictionary, 'dictionary'],
  [Type.Utf8View, 'view'],
  [Type.BinaryView, 'view'],
]);

const UNITS = ['s', 'ms', 'us', 'ns'] as const;
export type Unit = (typeof UNITS)[number];

/** `s`, `ms`, `us` or `ns`. */
export function unitOf(type: DataType): Unit {
  return must(UNITS[(type as unknown as { unit: TimeUnit }).unit], 'a type of time has one of four units');
}

/** Bits of a value of a number, of whatever meaning. */
export function bitsOf(type: DataType): number {
  switch (kindOf(type)) {
    case 'float':
      return 16 << (type as Float).precision;
    case 'timestamp':
    case 'duration':
      return 64;
    case 'date':
      return (type as unknown as { unit: DateUnit }).unit === 0 ? 32 : 64;
    default:
      return (type as Int).bitWidth;
  }
}

/** Whether offsets into the values have 64 bits. */
export function isLarge(type: DataType): boolean {
  return type.typeId === Type.LargeUtf8 || type.typeId === Type.LargeBinary || type.typeId === Type.LargeList;
}

/** The field of the elements of a list, or of the entries of a map. */
export function elementOf(type: DataType): Field {
  return must(type.children[0] as Field | undefined, 'a list has a type of elements');
}

/** The type without dictionaries and views, at every depth. */
export function plainType(type: DataType): DataType {
  switch (type.typeId) {
    case Type.Dictionary:
      return plainType((type as Dictionary).dictionary);
    case Type.Utf8View:
      return new Utf8();
    case Type.BinaryView:
      return new Binary();
    case Type.List:
      return new List(plainField(elementOf(type)));
    case Type.LargeList:
      return new LargeList(plainField(elementOf(type)));
    case Type.FixedSizeList:
      return new FixedSizeList((type as FixedSizeList).listSize, plainField(elementOf(type)));
    case Type.Struct:
      return new Struct((type.children as Field[]).map(plainField));
    case Type.Map:
      return new Map_(plainField(elementOf(type)) as Field<Struct>, (type as Map_).keysSorted);
    default:
      return type;
  }
}

export function plainField(field: Field): Field {
  return new Field(field.name, plainType(field.type), field.nullable, field.metadata);
}

/** As in `list<int64>`, `timestamp(us, UTC)`, `struct<a: utf8, b: int32 not null>`; the parameters are part of it. */
export function typeText(type: DataType): string {
  const plain = plainType(type);
  const large = isLarge(plain) ? 'large_' : '';
  switch (kindOf(plain)) {
    case 'int':
      return `${(plain as Int).isSigned ? 'int' : 'uint'}${bitsOf(plain)}`;
    case 'float':
    case 'date':
      return `${kindOf(plain)}${bitsOf(plain)}`;
    case 'decimal':
      return `decimal${bitsOf(plain)}(${(plain as Decimal).precision}, ${(plain as Decimal).scale})`;
    case 'time':
      return `time${bitsOf(plain)}(${unitOf(plain)})`;
    case 'timestamp':
      return `timestamp(${unitOf(plain)}${zoneText((plain as Timestamp).timezone)})`;
    case 'duration':
      return `duration(${unitOf(plain)})`;
    case 'fixed-binary':
      return `fixed_size_binary(${(plain as FixedSizeBinary).byteWidth})`;
    case 'list':
      return `${large}list<${elementText(plain)}>`;
    case 'fixed-list':
      return `fixed_size_list(${(plain as FixedSizeList).listSize})<${elementText(plain)}>`;
    case 'struct':
      return `struct<${(plain.children as Field[]).map(fieldText).join(', ')}>`;
    case 'map':
      return `map<${(elementOf(plain).type.children as Field[]).map(bareText).join(', ')}>`;
    case null:
      return String(type);
    default:
      return `${large}${kindOf(plain)}`;
  }
}

/** As in `word: utf8`; a column that allows no null says so. */
export function fieldText(field: Field): string {
  return `${nameText(field.name)}: ${bareText(field)}`;
}

/** Names that could be taken for something else are quoted, so that no two schemas have one text. */
export function nameText(name: string): string {
  return /^[\w.-]+$/.test(name) ? name : JSON.stringify(name);
}

/** What writers call the element of a list (`item`, `element`) is no part of its type. */
function elementText(type: DataType): string {
  return bareText(elementOf(type));
}

function bareText(field: Field): string {
  return `${typeText(field.type)}${field.nullable ? '' : ' not null'}`;
}

function zoneText(timezone: string | null | undefined): string {
  return timezone ? `, ${nameText(timezone)}` : '';
}
