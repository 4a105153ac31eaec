/**
 * CSV records: text cut into rows of cells, as RFC 4180 says.
 *
 * A cell in quotes may hold commas, line ends and doubled quotes. Rows end with LF or CRLF; empty lines are no rows. A
 * quote inside a cell that does not begin with one is only a character, as everybody's spreadsheets have it.
 *
 * A row is cut when it is whole. What is left is looked at again only when as much has come as was left, so that the
 * work stays linear however long a row is and however small the pieces are.
 */
import { PolarisError } from '../base/errors.ts';
import { LINE_BYTES_MAX } from '../base/limits.ts';
import { requireUtf8, withoutMark } from './lines.ts';
import type { Row } from './rows.ts';
import type { ByteSource } from './sources.ts';

export type Cells = readonly string[];

const QUOTE = '"';
const LF = 0x0a;
const CR = 0x0d;
const COMMA = 0x2c;

/** Rows as they become whole, with the line on which each begins. */
export async function* readRecords(source: ByteSource): AsyncGenerator<Row<Cells>[]> {
  const records = new CsvRecords();
  for await (const piece of requireUtf8(withoutMark(source))) {
    const rows = records.add(Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength).toString('utf8'));
    if (rows.length > 0) yield rows;
  }
  const last = records.end();
  if (last.length > 0) yield last;
}

/** A cell or row that does not end in the text at hand. */
const UNFINISHED = Symbol('unfinished');

class CsvRecords {
  #text = '';
  #more: string[] = [];
  #moreLength = 0;
  #line = 1;
  /** Place in the text of the row, and then of the cell, that is looked at. */
  #at = 0;
  #ended = false;
  #linesInCell = 0;

  add(text: string): Row<Cells>[] {
    this.#more.push(text);
    this.#moreLength += text.length;
    return this.#moreLength < this.#text.length ? [] : this.#cut();
  }

  end(): Row<Cells>[] {
    this.#ended = true;
    return this.#cut();
  }

  #cut(): Row<Cells>[] {
    this.#text = [this.#text, ...this.#more].join('');
    [this.#more, this.#moreLength, this.#at] = [[], 0, 0];
    const rows: Row<Cells>[] = [];
    let start = 0;
    while (start < this.#text.length) {
      this.#linesInCell = 0;
      const row = this.#row();
      if (row === UNFINISHED) break;
      // Without the LF that was stepped over.
      this.#requireLength(this.#at - 1 - start);
      const isEmptyLine = row.length === 1 && row[0] === '' && this.#text[start] !== QUOTE;
      if (!isEmptyLine) rows.push({ row, line: this.#line, bytes: this.#at - start });
      this.#line += 1 + this.#linesInCell;
      start = this.#at;
    }
    this.#requireLength(this.#text.length - start);
    this.#text = this.#text.slice(start);
    return rows;
  }

  #requireLength(length: number): void {
    if (length <= LINE_BYTES_MAX) return;
    const open = this.#linesInCell > 0 ? '; perhaps a quote is never closed' : '';
    throw this.#bad(`the row has more than ${LINE_BYTES_MAX} characters${open}`);
  }

  #bad(why: string): PolarisError {
    return new PolarisError('BAD_DATA', `Line ${this.#line}: ${why}.`);
  }

  #row(): string[] | typeof UNFINISHED {
    const cells: string[] = [];
    while (true) {
      const cell = this.#text[this.#at] === QUOTE ? this.#quotedCell() : this.#plainCell();
      if (cell === UNFINISHED) return UNFINISHED;
      cells.push(cell);
      if (this.#text.charCodeAt(this.#at++) !== COMMA) return cells;
    }
  }

  /** Leaves the place at the comma or line end behind the cell. */
  #plainCell(): string | typeof UNFINISHED {
    const text = this.#text;
    const start = this.#at;
    let end = start;
    while (end < text.length) {
      const code = text.charCodeAt(end);
      if (code === COMMA || code === LF) break;
      end++;
    }
    this.#at = end;
    if (end === text.length && !this.#ended) return UNFINISHED;
    const endsRow = end === text.length || text.charCodeAt(end) === LF;
    return text.slice(start, endsRow && end > start && text.charCodeAt(end - 1) === CR ? end - 1 : end);
  }

  #quotedCell(): string | typeof UNFINISHED {
    const text = this.#text;
    const start = this.#at + 1;
    let end = text.indexOf(QUOTE, start);
    while (end >= 0 && text[end + 1] === QUOTE) end = text.indexOf(QUOTE, end + 2);
    if (end < 0) return this.#openQuote();
    // The quote at the end of the text may be the first of two, and a CR the first half of a line end.
    if (!this.#ended && (end + 1 === text.length || (text.charCodeAt(end + 1) === CR && end + 2 === text.length))) {
      return UNFINISHED;
    }
    const cell = text.slice(start, end);
    for (let at = cell.indexOf('\n'); at >= 0; at = cell.indexOf('\n', at + 1)) this.#linesInCell++;
    this.#at = end + 1;
    if (text.charCodeAt(this.#at) === CR && (text.charCodeAt(this.#at + 1) === LF || this.#at + 1 === text.length))
      this.#at++;
    const next = text.charCodeAt(this.#at);
    if (next !== COMMA && next !== LF && this.#at < text.length) {
      throw this.#bad('something stands behind the closing quote of a cell; quotes inside a cell are doubled');
    }
    return cell.includes(QUOTE) ? cell.replaceAll('""', QUOTE) : cell;
  }

  #openQuote(): typeof UNFINISHED {
    if (this.#ended) throw this.#bad('a quote is opened in this row and never closed');
    this.#linesInCell = 1;
    this.#at = this.#text.length;
    return UNFINISHED;
  }
}
