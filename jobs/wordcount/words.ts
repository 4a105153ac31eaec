/**
 * wordcount: what counts as a word.
 */

/** What stands between white space, without punctuation in front and behind, in lower case. */
export function* words(text: string): Generator<string> {
  for (const piece of text.split(/\s+/u)) {
    const word = piece.replace(/^\p{P}+|\p{P}+$/gu, '').toLowerCase();
    if (word !== '') yield word;
  }
}

/** Adds to a count of words. */
export function add(counts: Map<string, bigint>, word: string, times = 1n): void {
  counts.set(word, (counts.get(word) ?? 0n) + times);
}
