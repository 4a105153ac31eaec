/**
 * Arrow message: the frame around each schema, dictionary and batch, and the limits that it must keep.
 *
 * A frame is a length, a flatbuffer, and a body whose length the flatbuffer says. Nobody is believed: each length is
 * compared with a limit before a byte of it is waited for or any memory is asked for.
 */
import { PolarisError } from '../base/errors.ts';
import { ARROW_METADATA_BYTES_MAX, BATCH_BYTES_MAX } from '../base/limits.ts';
import { FlatBuffer, type FlatTable } from './flatbuffer.ts';

export type MessageKind = 'schema' | 'dictionary' | 'batch';

export interface ArrowMessage {
  readonly kind: MessageKind;
  readonly header: FlatTable;
  readonly bodyBytes: number;
  readonly what: string;
}

const MESSAGE = { version: 0, headerCode: 1, header: 2, bodyLength: 3 } as const;
const KINDS: readonly (MessageKind | undefined)[] = [undefined, 'schema', 'dictionary', 'batch'];
/** V4; before it the layout was another. */
const VERSION_MIN = 3;
const VERSION_MAX = 4;

/** Before each length since 2019; older writers begin with the length itself. */
export const CONTINUATION = 0xffff_ffff;

export function requireMetadataBytes(bytes: number, what: string): void {
  if (bytes > 0 && bytes <= ARROW_METADATA_BYTES_MAX) return;
  const limit = `${ARROW_METADATA_BYTES_MAX} are allowed`;
  throw new PolarisError('BAD_ARROW', `${what}: it claims ${bytes} bytes of metadata; at most ${limit}.`);
}

export function readMessage(metadata: Uint8Array, what: string): ArrowMessage {
  const { root } = new FlatBuffer(metadata, what);
  const version = root.short(MESSAGE.version);
  if (version < VERSION_MIN || version > VERSION_MAX)
    throw root.buffer.bad(`it is of metadata version V${version + 1}`);
  const kind = KINDS[root.byte(MESSAGE.headerCode)];
  const header = root.table(MESSAGE.header);
  if (kind === undefined || header === null) throw root.buffer.bad('it is neither schema nor dictionary nor batch');
  const bodyBytes = root.size(MESSAGE.bodyLength);
  if (bodyBytes > BATCH_BYTES_MAX) {
    throw new PolarisError(
      'BATCH_TOO_LARGE',
      `${what}: it claims a body of ${bodyBytes} bytes; at most ${BATCH_BYTES_MAX} are allowed.`,
    );
  }
  return { kind, header, bodyBytes, what };
}
