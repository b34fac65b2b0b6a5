/** Edit distance with insertions, deletions, substitutions (Levenshtein). */
function distance(left: string, right: string): number {
  let previous = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let row = 1; row <= left.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= right.length; column += 1) {
      const substituted = (previous[column - 1] ?? 0) + (left[row - 1] === right[column - 1] ? 0 : 1);
      current.push(Math.min(substituted, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[right.length] ?? 0;
}

/** The candidate someone probably meant, or undefined when none is near enough to be worth suggesting. */
export function nearestName(word: string, candidates: Iterable<string>): string | undefined {
  // An attacker-free input, yet a 1 MB key in a broken file must not cost quadratic time.
  if (word.length > 100) return undefined;
  const lowered = word.toLowerCase();
  let nearest: string | undefined;
  let least = Math.max(2, Math.floor(word.length / 4)) + 1;
  for (const candidate of candidates) {
    const found = distance(lowered, candidate.toLowerCase());
    if (found < least) {
      least = found;
      nearest = candidate;
    }
  }
  return nearest;
}

export function didYouMean(word: string, candidates: Iterable<string>): string {
  const nearest = nearestName(word, candidates);
  return nearest === undefined ? '' : ` Did you mean ${nearest}?`;
}
