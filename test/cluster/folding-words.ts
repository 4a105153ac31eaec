/** The words of a text and how often each stands in it, counted in one process and written down anew: `word,count`, sorted. */
export function countsOfText(text: string): string[] {
  const counts = new Map<string, number>();
  for (const piece of text.split(/\s+/)) {
    const word = piece.replace(/^\p{P}+|\p{P}+$/gu, '').toLowerCase();
    if (word !== '') counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return [...counts].map(([word, count]) => `${word},${count}`).sort();
}
