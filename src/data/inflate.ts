/**
 * Inflate: a body with `Content-Encoding: gzip`, without trusting how large it becomes.
 *
 * Some kilobytes of gzip can stand for gigabytes of zeros. What comes out is counted against a limit and against what
 * went in, as it comes; a reader that stops pulling stops it, so that no more than a piece is ever made ahead.
 */
import { pipeline, Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { errorText, PolarisError } from '../base/errors.ts';
import { INFLATE_BYTES_FREE, INFLATE_RATIO_MAX } from '../base/limits.ts';
import type { ByteSource } from './sources.ts';

export async function* gunzip(source: ByteSource, bytesMax: number): ByteSource {
  let [packed, unpacked] = [0, 0];
  let sourceError: unknown = null;
  async function* counted(): ByteSource {
    try {
      for await (const piece of source) {
        packed += piece.byteLength;
        yield piece;
      }
    } catch (error) {
      sourceError = error;
      throw error;
    }
  }
  const inflating = createGunzip();
  // A failed source fails the stream, which is where it is noticed.
  pipeline(Readable.from(counted(), { objectMode: false }), inflating, () => {});
  try {
    for await (const piece of inflating as AsyncIterable<Uint8Array>) {
      unpacked += piece.byteLength;
      if (unpacked > bytesMax)
        throw new PolarisError('BODY_TOO_LARGE', `Unpacked, the body has more than ${bytesMax} bytes.`);
      if (unpacked > INFLATE_BYTES_FREE && unpacked > packed * INFLATE_RATIO_MAX) {
        throw new PolarisError('BAD_DATA', `Unpacked, the body is more than ${INFLATE_RATIO_MAX} times as large.`);
      }
      yield piece;
    }
  } catch (error) {
    if (error === sourceError || error instanceof PolarisError) throw error;
    throw new PolarisError('BAD_DATA', `The body is no gzip, or is cut off (${errorText(error)}).`, { cause: error });
  }
}

/** The body without its `Content-Encoding`; throws where that is another than gzip. */
export function decoded(source: ByteSource, encoding: string | undefined, bytesMax: number): ByteSource {
  switch ((encoding ?? 'identity').trim().toLowerCase()) {
    case 'identity':
    case '':
      return source;
    case 'gzip':
    case 'x-gzip':
      return gunzip(source, bytesMax);
    default:
      throw new PolarisError(
        'UNSUPPORTED_MEDIA_TYPE',
        `A body may be sent as it is or with Content-Encoding gzip, not ${encoding}.`,
      );
  }
}
