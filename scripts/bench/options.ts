/**
 * Reads what the benchmarks' command lines have in common. Pure.
 * @module
 */

/** A whole number from 1 on. @throws {TypeError} with a sentence that names the flag */
export function parseCount(flag: string, text: string | undefined, max: number): number {
  const number = Number(text);
  if (Number.isInteger(number) && number >= 1 && number <= max) return number;
  throw new TypeError(`${flag} is ${text === undefined ? "missing" : `"${text}"`}: wanted 1 to ${max}`);
}
