/** Units that one character may be typed in: a base letter and its marks. */
const UNITS_PER_CHARACTER = 4;

/**
 * NFC, for texts that may be accepted. Composing orders combining marks in quadratic time: a request body full of them
 * would stop the process for seconds. What is too long to be accepted anyway is left as it is, and matches nothing.
 *
 * @param longest characters.
 */
export function composed(text: string, longest: number): string {
  return text.length > longest * UNITS_PER_CHARACTER ? text : text.normalize('NFC');
}
