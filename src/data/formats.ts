/**
 * Formats: how batches come in and go out over HTTP, by content type.
 */
import { PolarisError } from '../base/errors.ts';
import type { Formats } from '../http/route.ts';
import { readArrowStream, writeArrowStream } from './arrow-stream.ts';

const STREAM = 'application/vnd.apache.arrow.stream';

export function createFormats(_spoolDir: string): Formats {
  return {
    read(headers, body) {
      if (headers['content-type'] === STREAM) return readArrowStream(body);
      throw new PolarisError('UNSUPPORTED_MEDIA_TYPE', `send ${STREAM}`);
    },
    wanted: () => STREAM,
    write: (_contentType, file) => writeArrowStream(file.batches(), file.schema),
  };
}
