/**
 * Parquet in: row group by row group, column by column.
 *
 * A row group stands in memory whole as columns of ours, and one column of it as JavaScript values beside; the limits
 * are on that. hyparquet reads the thrift and the encodings; what a column becomes, and every bound, is ours (see
 * parquet-pages.ts for why).
 *
 * Invariant: row groups lie behind each other, so no file is larger inside than its bytes, unpacked, allow.
 */
import type { RecordBatch } from 'apache-arrow';
import { type ColumnMetaData, type FileMetaData, parquetMetadata, type RowGroup } from 'hyparquet';
import { errorText, PolarisError } from '../base/errors.ts';
import { PARQUET_FOOTER_BYTES_MAX, PARQUET_GROUP_BYTES_MAX, PARQUET_GROUP_VALUES_MAX } from '../base/limits.ts';
import { batchOf, emptyBatch } from './build.ts';
import { cutBatch } from './cut.ts';
import { assemble } from './parquet-levels.ts';
import { badParquet, type ColumnPages, type GroupBudget, readPages, spendBytes } from './parquet-pages.ts';
import { type LeafNode, type ParquetNode, type ParquetSchema, readParquetSchema } from './parquet-schema.ts';
import { type BatchSource, ByteReader, type RangeRead } from './sources.ts';
import { checkThrift } from './thrift-check.ts';

const MAGIC = 'PAR1';
/** Length of the footer, and the magic. */
const TRAILER_BYTES = 8;

export async function* readParquet(read: RangeRead, bytes: number): BatchSource {
  const metadata = await readMetadata(read, bytes);
  const schema = guarded(() => readParquetSchema(metadata));
  let given = false;
  let end = MAGIC.length;
  for (const group of metadata.row_groups) {
    if (Number(group.num_rows) === 0) continue;
    end = requireBehind(group, end, bytes);
    const batch = await readGroup(read, schema, group);
    given = true;
    yield* cutBatch(batch);
  }
  if (!given) yield emptyBatch(schema.schema);
}

/** What hyparquet throws is about the file; only we know that it is one. */
function guarded<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof PolarisError) throw error;
    throw new PolarisError('BAD_DATA', `Parquet: the file is damaged (${errorText(error)}).`, { cause: error });
  }
}

async function readMetadata(read: RangeRead, bytes: number): Promise<FileMetaData> {
  const smallest = MAGIC.length + TRAILER_BYTES;
  if (bytes < smallest) throw badParquet(`a file of ${bytes} bytes is none`);
  const trailer = await readRange(read, bytes - TRAILER_BYTES, bytes);
  const view = new DataView(trailer.buffer, trailer.byteOffset, trailer.byteLength);
  const magic = Buffer.from(trailer.subarray(4)).toString('latin1');
  if (magic === 'PARE') throw badParquet('the file is encrypted, which is not read');
  if (magic !== MAGIC) throw badParquet(`the file does not end with ${MAGIC}: it is another, or is cut off`);
  const length = view.getUint32(0, true);
  if (length > PARQUET_FOOTER_BYTES_MAX || length > bytes - smallest) {
    throw badParquet(`its footer claims ${length} bytes; ${PARQUET_FOOTER_BYTES_MAX} are allowed`);
  }
  const footer = await readRange(read, bytes - TRAILER_BYTES - length, bytes);
  checkThrift(footer.subarray(0, length));
  return guarded(() => parquetMetadata(footer, { geoparquet: false }));
}

async function readRange(read: RangeRead, start: number, end: number): Promise<Uint8Array> {
  const reader = new ByteReader(read(start, end));
  try {
    const bytes = await reader.take(end - start);
    if (bytes.byteLength === end - start) return bytes;
    throw badParquet(`bytes ${start} to ${end} are not there`);
  } finally {
    await reader.close();
  }
}

interface Span {
  readonly start: number;
  readonly end: number;
}

function spanOf(meta: ColumnMetaData): Span {
  const data = Number(meta.data_page_offset);
  const dictionary = Number(meta.dictionary_page_offset ?? data);
  // Some writers say zero where there is none.
  const start = dictionary > 0 ? Math.min(data, dictionary) : data;
  return { start, end: start + Number(meta.total_compressed_size) };
}

function metaOf(column: RowGroup['columns'][number]): ColumnMetaData {
  if (column.file_path) throw badParquet('its columns lie in other files');
  if (column.meta_data === undefined) throw badParquet('a column has no metadata, or is encrypted');
  return column.meta_data;
}

/** Where the next row group may begin. */
function requireBehind(group: RowGroup, before: number, bytes: number): number {
  let [first, last] = [bytes, before];
  for (const column of group.columns) {
    const { start, end } = spanOf(metaOf(column));
    if (!(start >= MAGIC.length && end >= start && end <= bytes))
      throw badParquet(`a column claims bytes ${start} to ${end}`);
    [first, last] = [Math.min(first, start), Math.max(last, end)];
  }
  if (group.columns.length > 0 && first < before) throw badParquet('its row groups share their bytes');
  return last;
}

async function readGroup(read: RangeRead, schema: ParquetSchema, group: RowGroup): Promise<RecordBatch> {
  const rows = Number(group.num_rows);
  if (!(rows >= 0 && rows <= PARQUET_GROUP_VALUES_MAX)) {
    throw badParquet(`a row group has ${rows} rows; ${PARQUET_GROUP_VALUES_MAX} are allowed`);
  }
  if (group.columns.length !== schema.leaves.length) throw badParquet('a row group lacks columns');
  const budget: GroupBudget = { bytes: PARQUET_GROUP_BYTES_MAX, valuesMax: PARQUET_GROUP_VALUES_MAX };
  const columns = [];
  for (const node of schema.columns) {
    const pages = new Map<LeafNode, ColumnPages>();
    for (const leaf of leavesOf(node)) pages.set(leaf, await readColumn(read, { group, leaf, budget }));
    columns.push(guarded(() => assemble(node, (leaf) => pages.get(leaf)!, budget)));
  }
  const short = columns.find((column) => column.length !== rows);
  if (short !== undefined) throw badParquet(`a column has ${short.length} rows and its row group ${rows}`);
  return batchOf(schema.schema, columns, rows);
}

function leavesOf(node: ParquetNode): LeafNode[] {
  switch (node.kind) {
    case 'leaf':
      return [node];
    case 'struct':
      return node.children.flatMap(leavesOf);
    case 'list':
      return leavesOf(node.child);
  }
}

interface ColumnOfGroup {
  readonly group: RowGroup;
  readonly leaf: LeafNode;
  readonly budget: GroupBudget;
}

async function readColumn(read: RangeRead, { group, leaf, budget }: ColumnOfGroup): Promise<ColumnPages> {
  const meta = metaOf(group.columns[leaf.index]!);
  if (meta.type !== leaf.element.type) throw badParquet(`column ${leaf.element.name} is stored as ${meta.type}`);
  const { start, end } = spanOf(meta);
  spendBytes(budget, end - start);
  const bytes = await readRange(read, start, end);
  return guarded(() => readPages({ bytes, meta, leaf, budget }));
}
