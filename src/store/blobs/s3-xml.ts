/**
 * The little XML that S3 speaks: flat elements, and of them only those that are asked for.
 */
import { PolarisError } from '../../base/errors.ts';

export interface S3Page {
  readonly keys: readonly string[];
  readonly isLast: boolean;
}

export function listPage(body: Buffer): S3Page {
  const xml = body.toString();
  const keys = [...xml.matchAll(/<Contents>([\s\S]*?)<\/Contents>/g)].map((match) => required(match[1] ?? '', 'Key'));
  return { keys, isLast: textOf(xml, 'IsTruncated') !== 'true' };
}

export function uploadId(body: Buffer): string {
  return required(body.toString(), 'UploadId');
}

/** The parts of an upload in order. */
export function partsXml(etags: readonly string[]): Buffer {
  const parts = etags.map((etag, at) => `<Part><PartNumber>${at + 1}</PartNumber><ETag>${escaped(etag)}</ETag></Part>`);
  return Buffer.from(`<CompleteMultipartUpload>${parts.join('')}</CompleteMultipartUpload>`);
}

/** The code of an error, which S3 may also send with the status 200. Null where the answer is no error. */
export function errorCode({ body }: { readonly body: Buffer }): string | null {
  const head = body.subarray(0, 1_024).toString();
  return /^\s*(<\?xml[^>]*>\s*)?<Error>/.test(head) ? textOf(head, 'Code') : null;
}

function required(xml: string, name: string): string {
  const text = textOf(xml, name);
  if (text === null || text === '') throw new PolarisError('BLOB_STORE_FAILED', `S3 answered without ${name}`);
  return text;
}

function textOf(xml: string, name: string): string | null {
  return new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1] ?? null;
}

function escaped(text: string): string {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/"/g, '&quot;');
}
