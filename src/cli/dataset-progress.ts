/**
 * Progress of a dataset on its way: bytes on one line of a terminal, redrawn a few times a second at most. Elsewhere
 * nothing, since a log has no use for it.
 */
import { TRANSFER_VIEW_MS } from '../base/limits.ts';
import type { CliIo } from './io.ts';

const CLEAR_LINE = '\r\u001b[2K';
const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

/** `512 B`, `1.5 MiB`. */
export function renderBytes(bytes: number): string {
  let [size, unit] = [bytes, 0];
  for (; size >= 1_024 && unit < UNITS.length - 1; unit++) size /= 1_024;
  return `${unit === 0 ? size : size.toFixed(1)} ${UNITS[unit]}`;
}

export interface TransferView {
  show(bytes: number): void;
  /** Leaves `rows` and bytes standing; without rows the line goes away. */
  end(rows: number | null): void;
}

/** For what is its own progress. */
export const SILENT: TransferView = { show() {}, end() {} };

export function createTransferView({ stderr, now }: CliIo, name: string, totalBytes: number | null): TransferView {
  let sent = 0;
  let drawnAt: number | null = null;
  const total = totalBytes === null ? '' : ` of ${renderBytes(totalBytes)}`;
  return {
    show(bytes) {
      sent = bytes;
      if (stderr.isTTY !== true) return;
      const at = now();
      if (drawnAt !== null && at - drawnAt < TRANSFER_VIEW_MS) return;
      drawnAt = at;
      stderr.write(`${CLEAR_LINE}${name}  ${renderBytes(bytes)}${total}`);
    },
    end(rows) {
      if (stderr.isTTY !== true) return;
      const line = rows === null ? '' : `${name}  ${renderBytes(sent)}  ${rows} ${rows === 1 ? 'row' : 'rows'}\n`;
      if (drawnAt !== null || line !== '') stderr.write(`${CLEAR_LINE}${line}`);
    },
  };
}
