/**
 * A copy on its way into a bucket. One part is held in memory, whatever the size of the blob.
 *
 * What fits into one part is stored with one request, which S3 makes visible at once or not at all. What does not goes up in
 * parts under a name of its own, because its hash is known only at the end; then S3 itself copies it to its name.
 * Parts of an upload that was never completed are no object and can be seen by nobody. A process that dies leaves
 * them to the bucket's lifecycle rule for incomplete uploads, which every bucket should have.
 */
import { assert } from '../../base/assert.ts';
import { PolarisError } from '../../base/errors.ts';
import { S3_PART_BYTES } from '../../base/limits.ts';
import { type Copy, nameOf } from './names.ts';
import type { S3Client } from './s3-client.ts';
import { partsXml, uploadId } from './s3-xml.ts';
import type { Draft } from './shelf.ts';

export class S3Draft implements Draft {
  readonly #client: S3Client;
  readonly #partKey: string;
  readonly #keyOf: (copy: Copy) => string;
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  #sentBytes = 0;
  #uploadId: string | null = null;
  readonly #etags: string[] = [];
  #state: 'uploading' | 'joined' | 'done' = 'uploading';

  /** @param partKey no other draft ever had it. */
  constructor(client: S3Client, partKey: string, keyOf: (copy: Copy) => string) {
    this.#client = client;
    this.#partKey = partKey;
    this.#keyOf = keyOf;
  }

  async append(bytes: Uint8Array): Promise<void> {
    assert(bytes.length <= S3_PART_BYTES, 'what is appended fits into a part');
    if (this.#heldBytes + bytes.length > S3_PART_BYTES) await this.#sendPart();
    this.#held.push(new Uint8Array(bytes));
    this.#heldBytes += bytes.length;
  }

  async publish(copy: Copy): Promise<void> {
    const key = this.#keyOf(copy);
    if (this.#uploadId === null) {
      await this.#client.ask({ method: 'PUT', key, body: Buffer.concat(this.#held) });
    } else {
      if (this.#heldBytes > 0) await this.#sendPart();
      await this.#join(this.#uploadId);
      this.#state = 'joined';
      const isThere = await copyObject(this.#client, this.#partKey, key);
      if (!isThere) throw new PolarisError('BLOB_STORE_FAILED', `S3 lost the upload of ${nameOf(copy)}`);
      await this.#client.ask({ method: 'DELETE', key: this.#partKey });
    }
    this.#held = [];
    this.#state = 'done';
  }

  async abandon(): Promise<void> {
    if (this.#state === 'done') return;
    const [state, id] = [this.#state, this.#uploadId];
    this.#state = 'done';
    this.#held = [];
    if (id === null) return;
    // Nobody sees it; what cannot be removed now is left to the next open, and to the bucket's lifecycle rule.
    const query = state === 'joined' ? {} : { uploadId: id };
    await this.#client.ask({ method: 'DELETE', key: this.#partKey, query, accepts: [404, 405] }).catch(() => {});
  }

  async #sendPart(): Promise<void> {
    const key = this.#partKey;
    this.#uploadId ??= uploadId((await this.#client.ask({ method: 'POST', key, query: { uploads: '' } })).body);
    const body = Buffer.concat(this.#held);
    const query = { partNumber: String(this.#etags.length + 1), uploadId: this.#uploadId };
    const { headers } = await this.#client.ask({ method: 'PUT', key, query, body });
    this.#etags.push(headers.get('etag') ?? '');
    this.#sentBytes += body.length;
    this.#held = [];
    this.#heldBytes = 0;
  }

  async #join(id: string): Promise<void> {
    const key = this.#partKey;
    const body = partsXml(this.#etags);
    const { status } = await this.#client.ask({ method: 'POST', key, query: { uploadId: id }, body, accepts: [404] });
    if (status !== 404) return;
    // The upload is gone, so an earlier attempt may have joined it and its answer was lost.
    const { headers } = await this.#client.ask({ method: 'HEAD', key });
    if (headers.get('content-length') === String(this.#sentBytes)) return;
    throw new PolarisError('BLOB_STORE_FAILED', 'S3 lost an upload before it was complete');
  }
}

/** Within S3, in the place of whatever has the key. @returns false when there is no source. */
export async function copyObject(client: S3Client, source: string, target: string): Promise<boolean> {
  const headers = { 'x-amz-copy-source': `/${client.bucket}/${source}` };
  const { status } = await client.ask({ method: 'PUT', key: target, headers, accepts: [404] });
  return status !== 404;
}
