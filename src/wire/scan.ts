/**
 * Scan: walks over the bytes of a frame before anything is made of them.
 *
 * A MessagePack decoder believes what the bytes say: an array header of five bytes may announce four thousand million
 * elements, and extensions may bring dates, maps, or record definitions that change how later frames are read. One pass
 * without an allocation makes sure first that the frame is one value, that every length lies within the bytes that are
 * there and within our limits, and that only the few kinds of values occur that our own encoder writes.
 */
import { FRAME_BYTES_MAX, FRAME_DEPTH_MAX, FRAME_TEXT_BYTES_MAX, FRAME_VALUES_MAX } from '../base/limits.ts';
import { badFrame } from './shapes.ts';

/** What follows one header: so many bytes, or so many elements. */
interface Head {
  kind: 'scalar' | 'text' | 'binary' | 'array';
  /** Bytes of the header itself, with its length field. */
  headerBytes: number;
  /** Bytes behind the header; of an array, its elements. */
  length: number;
}

/** @throws PolarisError BAD_FRAME. */
export function scanFrame(frame: Uint8Array): void {
  if (frame.length > FRAME_BYTES_MAX) throw badFrame(`a frame of ${frame.length} bytes`);
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const head: Head = { kind: 'scalar', headerBytes: 0, length: 0 };
  // Elements that are still to come, one number for each array that is open.
  const open: number[] = [1];
  let offset = 0;
  let valueCount = 0;
  while (open.length > 0) {
    const missing = open[open.length - 1] ?? 0;
    if (missing === 0) {
      open.pop();
      continue;
    }
    open[open.length - 1] = missing - 1;
    valueCount += 1;
    if (valueCount > FRAME_VALUES_MAX) throw badFrame('too many values');
    readHead(view, offset, head);
    offset += head.headerBytes;
    if (head.length > frame.length - offset) throw badFrame('it ends too early');
    if (head.kind === 'array') {
      if (open.length > FRAME_DEPTH_MAX) throw badFrame('arrays nest too deeply');
      open.push(head.length);
      continue;
    }
    if (head.kind === 'text' && head.length > FRAME_TEXT_BYTES_MAX) throw badFrame(`a text of ${head.length} bytes`);
    offset += head.length;
  }
  if (offset !== frame.length) throw badFrame(`${frame.length - offset} bytes too many`);
}

function readHead(view: DataView, offset: number, head: Head): void {
  if (offset >= view.byteLength) throw badFrame('it ends too early');
  const tag = view.getUint8(offset);
  if (tag <= 0x7f || tag >= 0xe0) setHead(head, 'scalar', 1, 0);
  else if (tag >= 0x90 && tag <= 0x9f) setHead(head, 'array', 1, tag & 0x0f);
  else if (tag >= 0xa0 && tag <= 0xbf) setHead(head, 'text', 1, tag & 0x1f);
  else readLongHead(view, offset, tag, head);
}

function readLongHead(view: DataView, offset: number, tag: number, head: Head): Head {
  switch (tag) {
    case 0xc0: // nil
    case 0xc2: // false
    case 0xc3: // true
      return setHead(head, 'scalar', 1, 0);
    case 0xcc: // uint 8
    case 0xd0: // int 8
      return setHead(head, 'scalar', 1, 1);
    case 0xcd: // uint 16
    case 0xd1: // int 16
      return setHead(head, 'scalar', 1, 2);
    case 0xce: // uint 32
    case 0xd2: // int 32
      return setHead(head, 'scalar', 1, 4);
    case 0xcb: // float 64, in which the encoder writes integers of more than 32 bits
      return setHead(head, 'scalar', 1, 8);
    case 0xc4:
      return setHead(head, 'binary', 2, readLength(view, offset, 1));
    case 0xc5:
      return setHead(head, 'binary', 3, readLength(view, offset, 2));
    case 0xc6:
      return setHead(head, 'binary', 5, readLength(view, offset, 4));
    case 0xd9:
      return setHead(head, 'text', 2, readLength(view, offset, 1));
    case 0xda:
      return setHead(head, 'text', 3, readLength(view, offset, 2));
    case 0xdb:
      return setHead(head, 'text', 5, readLength(view, offset, 4));
    case 0xdc:
      return setHead(head, 'array', 3, readLength(view, offset, 2));
    case 0xdd:
      return setHead(head, 'array', 5, readLength(view, offset, 4));
    default:
      throw badFrame(`a value of kind 0x${tag.toString(16)}`);
  }
}

function readLength(view: DataView, offset: number, byteCount: 1 | 2 | 4): number {
  if (offset + 1 + byteCount > view.byteLength) throw badFrame('it ends too early');
  if (byteCount === 1) return view.getUint8(offset + 1);
  return byteCount === 2 ? view.getUint16(offset + 1) : view.getUint32(offset + 1);
}

/** One object for the whole scan: a frame may have fifty thousand values. */
function setHead(head: Head, kind: Head['kind'], headerBytes: number, length: number): Head {
  head.kind = kind;
  head.headerBytes = headerBytes;
  head.length = length;
  return head;
}
