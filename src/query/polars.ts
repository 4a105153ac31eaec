/**
 * Polars: the engine behind SQL, in the few calls that are made of it.
 *
 * Its native part is 100 MB for each platform, so it is loaded where a query runs and nowhere else. A mistake in a query
 * comes back from it as a value that is an Error, not as something thrown; here it is thrown.
 *
 * The engine takes its own SQL to be open to change, so its version is fixed to the last digit in package.json.
 */
import { PolarisError } from '../base/errors.ts';
import { QUERY_COLUMNS_SHOWN_MAX, QUERY_ERROR_CHARACTERS_MAX } from '../base/limits-query.ts';

export type Polars = typeof import('nodejs-polars');

/** A query that was understood, and not run yet. */
export type Frame = ReturnType<Polars['scanIPC']>;

/** @throws PolarisError NO_QUERY_ENGINE */
export async function loadPolars(): Promise<Polars> {
  try {
    return await import('nodejs-polars');
  } catch (cause) {
    const platform = `${process.platform} on ${process.arch}`;
    throw new PolarisError('NO_QUERY_ENGINE', `the query engine cannot be loaded for ${platform}`, { cause });
  }
}

/** Understands a query over these frames. @throws Error in the words of the engine */
export function understand(polars: Polars, sql: string, frames: Readonly<Record<string, Frame>>): Frame {
  const frame = polars.SQLContext(frames).execute(sql);
  const inner: unknown = (frame as { readonly _ldf?: unknown })._ldf;
  if (inner instanceof Error) throw inner;
  return frame;
}

/** Runs it into an Arrow file, as it goes along where that can be. @throws Error in the words of the engine */
export async function runInto(polars: Polars, frame: Frame, path: string): Promise<void> {
  // The sink comes as the engine's own frame, without the methods that it is declared to have.
  const sink: unknown = frame.sinkIpc(path);
  const wrap = (polars as unknown as { readonly _LazyDataFrame: (inner: unknown) => Frame })._LazyDataFrame;
  await wrap(sink).collect();
}

/** What the engine said, for whoever wrote the query: without its plans, and with the columns that there are. */
export function refusalText(said: string, columns: readonly string[]): string {
  const [head = ''] = said.split('\n\nResolved plan until failure');
  const text = head
    .trim()
    .replace(/\s*\n\s*/g, ' ')
    .slice(0, QUERY_ERROR_CHARACTERS_MAX);
  const isAboutColumn = /column|field|not found/i.test(text);
  if (!isAboutColumn || /valid columns/.test(text) || columns.length === 0) return text;
  const shown = columns.slice(0, QUERY_COLUMNS_SHOWN_MAX);
  const more = columns.length > shown.length ? ` and ${columns.length - shown.length} more` : '';
  return `${text}; there are the columns ${shown.join(', ')}${more}`;
}
