/**
 * HTTP by hand: requests that no client library would send, and what comes back.
 */
import { once } from 'node:events';
import { connect } from 'node:net';

export interface RawAnswer {
  readonly status: number;
  readonly contentType: string;
  /** Of the problem, where it is one. */
  readonly code: string;
  readonly body: Buffer;
}

export interface RawRequest {
  readonly method: string;
  /** As it stands in the request line, byte for byte. */
  readonly target: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /** Said of the body whatever its length is; null: nothing is said. */
  readonly contentLength?: number | null;
}

/** Sends it and gives the first answer. Whoever said more than he sent hangs up, and may be given none: null. */
export async function sendRaw(address: string, request: RawRequest): Promise<RawAnswer | null> {
  const { method, target, headers = {}, body, contentLength = body?.length ?? null } = request;
  const [host, port] = address.split(':');
  const socket = connect(Number(port), host);
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  // Whoever is refused in the middle of his body may be told so by a reset.
  socket.on('error', () => {});
  const length = contentLength === null ? {} : { 'content-length': String(contentLength) };
  const all = { host: address, connection: 'close', ...length, ...headers };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`);
  socket.write(Buffer.from(`${method} ${target} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`, 'latin1'));
  if (body !== undefined) socket.write(body);
  if (Number(contentLength) > (body?.length ?? 0)) socket.end();
  await once(socket, 'close');
  return parsed(Buffer.concat(chunks));
}

function parsed(bytes: Buffer): RawAnswer | null {
  const end = bytes.indexOf('\r\n\r\n');
  const [, status] = /^HTTP\/1\.1 (\d{3})/.exec(bytes.toString('latin1', 0, 12)) ?? [];
  if (end < 0 || status === undefined) return null;
  const head = bytes.toString('latin1', 0, end);
  const body = bytes.subarray(end + 4);
  const [, contentType = ''] = /^content-type: ([^;\r]*)/im.exec(head) ?? [];
  const [, code = ''] = /^polaris-code: (.*?)\r?$/im.exec(head) ?? [];
  return { status: Number(status), contentType, code, body };
}
