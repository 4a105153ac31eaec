/**
 * A shelf in a bucket: one object a copy, `<prefix>copies/<name>`, as the directory has one file.
 *
 * S3 has no rename. A stamp is raised by copying the object to its new key and then deleting the old one; each is atomic,
 * and a delete that judged the old stamp can hit the old key only. Lists must show at once what was written and deleted before,
 * as S3 itself and all common servers do. Nothing can be held open either: a range is read by requests of one part, and a
 * reader whose key is gone looks for where the copy went.
 */
import { PolarisError } from '../../base/errors.ts';
import type { BlobHash } from '../../base/handle.ts';
import { S3_BLOB_BYTES_MAX, S3_PART_BYTES } from '../../base/limits.ts';
import type { LogIndex, NodeId } from '../../base/types.ts';
import { type Copy, copyOf, nameOf } from './names.ts';
import { damagedBlob } from './pieces.ts';
import type { S3Client } from './s3-client.ts';
import { copyObject, S3Draft } from './s3-draft.ts';
import { listPage } from './s3-xml.ts';
import type { Draft, OpenCopy, Shelf } from './shelf.ts';
import { newLife, partOwner } from './unfinished.ts';

export class S3Shelf implements Shelf {
  readonly contentBytesMax = S3_BLOB_BYTES_MAX;
  readonly #client: S3Client;
  readonly #copiesPrefix: string;
  readonly #unfinishedPrefix: string;
  readonly #owner: NodeId;
  readonly #life = newLife();
  #drafts = 0;

  constructor(client: S3Client, options: { readonly prefix: string; readonly owner: NodeId }) {
    this.#client = client;
    this.#copiesPrefix = `${options.prefix}copies/`;
    this.#unfinishedPrefix = `${options.prefix}unfinished/`;
    this.#owner = options.owner;
  }

  async copies(hash: BlobHash): Promise<Copy[]> {
    const copies: Copy[] = [];
    for await (const copy of this.#list(`${hash}.`)) copies.push(copy);
    return copies;
  }

  all(): AsyncIterable<Copy> {
    return this.#list('');
  }

  async move(copy: Copy, stamp: LogIndex): Promise<boolean> {
    if (!(await copyObject(this.#client, this.#keyOf(copy), this.#keyOf({ ...copy, stamp })))) return false;
    return this.remove(copy);
  }

  /** S3 does not tell whether there was anything to delete. */
  async remove(copy: Copy): Promise<boolean> {
    await this.#client.ask({ method: 'DELETE', key: this.#keyOf(copy), accepts: [404] });
    return true;
  }

  async identify(copy: Copy): Promise<string | null> {
    const { status, headers } = await this.#client.ask({ method: 'HEAD', key: this.#keyOf(copy), accepts: [404] });
    return status === 404 ? null : `${headers.get('etag')} of ${headers.get('last-modified')}`;
  }

  /**
   * Few servers delete on a condition. Between the look and the delete lies one round trip, in which a whole copy
   * could be put under the very key of the damaged one; S3 checks what it stores, so even the damage is not to be expected.
   */
  async removeOnly(copy: Copy, identity: string): Promise<boolean> {
    return (await this.identify(copy)) === identity && this.remove(copy);
  }

  /** Whatever S3 has answered is durable. */
  async settle(): Promise<void> {}

  async draft(): Promise<Draft> {
    this.#drafts += 1;
    const name = `part.${this.#owner}.${this.#life}.${this.#drafts}`;
    return new S3Draft(this.#client, this.#unfinishedPrefix + name, (copy) => this.#keyOf(copy));
  }

  /** No request: what is wrong with the copy shows when it is read. */
  async open(copy: Copy): Promise<OpenCopy> {
    return new S3Copy(this.#client, this.#keyOf(copy), copy.hash);
  }

  /** Removes what former lives of this owner left unfinished. For `openS3Blobs`. */
  async clear(): Promise<void> {
    const prefix = `${this.#unfinishedPrefix}part.${this.#owner}.`;
    for await (const key of this.#keys(prefix)) {
      if (partOwner(key.slice(this.#unfinishedPrefix.length)) !== this.#owner) continue;
      await this.#client.ask({ method: 'DELETE', key, accepts: [404] });
    }
  }

  #keyOf(copy: Copy): string {
    return this.#copiesPrefix + nameOf(copy);
  }

  async *#list(start: string): AsyncGenerator<Copy> {
    for await (const key of this.#keys(this.#copiesPrefix + start)) {
      const copy = copyOf(key.slice(this.#copiesPrefix.length));
      if (copy !== null) yield copy;
    }
  }

  /** In the order of the keys. The last key of a page, and no token, says where the next begins. */
  async *#keys(prefix: string): AsyncGenerator<string> {
    for (let last: string | null = ''; last !== null; ) {
      const query = { 'list-type': '2', prefix, ...(last === '' ? {} : { 'start-after': last }) };
      const { keys, isLast } = listPage((await this.#client.ask({ method: 'GET', key: '', query })).body);
      yield* keys;
      last = isLast ? null : (keys.at(-1) ?? null);
    }
  }
}

class S3Copy implements OpenCopy {
  readonly #client: S3Client;
  readonly #key: string;
  readonly #hash: BlobHash;
  /** What the last request brought. */
  #window: { readonly start: number; readonly bytes: Uint8Array } = { start: 0, bytes: new Uint8Array() };

  constructor(client: S3Client, key: string, hash: BlobHash) {
    this.#client = client;
    this.#key = key;
    this.#hash = hash;
  }

  async read(start: number, end: number, ahead: number): Promise<Uint8Array | null> {
    if (start === end) return new Uint8Array();
    const window = this.#window;
    if (start < window.start || end > window.start + window.bytes.length) {
      const bytes = await this.#fetch(start, Math.max(end, Math.min(ahead, start + S3_PART_BYTES)));
      if (bytes === null) return null;
      this.#window = { start, bytes };
    }
    const from = start - this.#window.start;
    return this.#window.bytes.slice(from, from + end - start);
  }

  async close(): Promise<void> {
    this.#window = { start: 0, bytes: new Uint8Array() };
  }

  async #fetch(start: number, end: number): Promise<Uint8Array | null> {
    const headers = { range: `bytes=${start}-${end - 1}` };
    const { status, body } = await this.#client.ask({ method: 'GET', key: this.#key, headers, accepts: [404, 416] });
    if (status === 404) return null;
    if (status === 416) throw damagedBlob(this.#hash, `it ends before byte ${start}`);
    if (status !== 206) throw new PolarisError('BLOB_STORE_FAILED', `S3 serves no ranges: it answered ${status}`);
    // Some servers send more than they were asked for. Whether it is the right part of it is for the digests to say.
    return new Uint8Array(body.buffer, body.byteOffset, body.length);
  }
}
