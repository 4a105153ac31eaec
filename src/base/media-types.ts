/**
 * Media types of datasets, by the name that each has on the command line. Client and server name formats with these
 * texts and know nothing else of them.
 */
export const MEDIA_TYPES = {
  arrow: 'application/vnd.apache.arrow.stream',
  'arrow-file': 'application/vnd.apache.arrow.file',
  csv: 'text/csv',
  jsonl: 'application/x-ndjson',
  parquet: 'application/vnd.apache.parquet',
  text: 'text/plain',
} as const;

/** Many tables as one body. */
export const TABLES_TYPE = 'application/vnd.polaris.tables';

export type FormatName = keyof typeof MEDIA_TYPES;

export const FORMAT_NAMES = Object.keys(MEDIA_TYPES) as readonly FormatName[];
