/**
 * Reads what the benchmarks' command lines have in common. Pure.
 * @module
 */
import type { Source } from "./node_stage.ts";

/** A whole number. @throws {TypeError} with a sentence that names the flag */
export function parseCount(
  flag: string,
  text: string | undefined,
  { min = 1, max }: { readonly min?: number; readonly max: number },
): number {
  const number = Number(text);
  if (Number.isInteger(number) && number >= min && number <= max) return number;
  throw wrong(flag, text, `${min} to ${max}`);
}

/** Whole numbers with commas between. @throws as {@linkcode parseCount} */
export function parseCounts(
  flag: string,
  text: string | undefined,
  range: { readonly min?: number; readonly max: number },
): number[] {
  return text === undefined
    ? [parseCount(flag, text, range)]
    : text.split(",").map((one) => parseCount(flag, one, range));
}

/** Any number. @throws {TypeError} with a sentence that names the flag */
export function parseNumber(
  flag: string,
  text: string | undefined,
  { above, max }: { readonly above: number; readonly max: number },
): number {
  const number = text === undefined || text === "" ? NaN : Number(text);
  if (number > above && number <= max) return number;
  throw wrong(flag, text, `more than ${above}, at most ${max}`);
}

/** What kind of API server. @throws {TypeError} with a sentence */
export function parseSource(text: string): Source {
  if (text === "api" || text === "synthetic") return text;
  throw wrong("--source", text, "api or synthetic");
}

function wrong(flag: string, text: string | undefined, wanted: string): TypeError {
  return new TypeError(`${flag} is ${text === undefined ? "missing" : `"${text}"`}: wanted ${wanted}`);
}
