/**
 * Reads the value of one annotation.
 *
 * In: text, as somebody wrote it. Out: an AnnotationKind per kind of value: the value, or undefined when the text is none.
 * Nothing throws, and nothing is rounded or cut to fit: a text is a value or it is not.
 * @module
 */
import { parseDurationMs, renderDurationMs } from "../../duration.ts";

/** How one kind of value is read and described. */
export interface AnnotationKind<T> {
  /** What is wanted, for an error and the reference: "a duration like `500ms`, `15s`, or plain seconds". */
  readonly wanted: string;
  parse(text: string): T | undefined;
  /** The text of a value, for the reference and `explain`. */
  render(value: T): string;
}

/** The longest duration: beyond it somebody means "never", which is 0. */
const LONGEST_MS = 24 * 3_600_000;

/** Milliseconds. Written `15s`, `500ms`, `1m30s`, or as plain seconds. */
export function duration({ minMs }: { readonly minMs: number }): AnnotationKind<number> {
  const off = minMs === 0 ? ", 0 switches it off" : "";
  return {
    wanted: `a duration like \`500ms\`, \`15s\` or plain seconds, ${renderDurationMs(minMs)} to 24h${off}`,
    parse: (text) => {
      const ms = /^\d{1,6}(\.\d{1,3})?$/.test(text)
        ? Math.round(Number(text) * 1_000)
        : parseDurationMs(text);
      return ms !== undefined && ms >= minMs && ms <= LONGEST_MS ? ms : undefined;
    },
    render: (ms) => ms === 0 ? "0" : renderDurationMs(ms),
  };
}

/** Yes or no. */
export function boolean(): AnnotationKind<boolean> {
  return {
    wanted: "`true` or `false`",
    parse: (text) => ({ true: true, false: false })[text],
    render: String,
  };
}

/** A whole number between two bounds, both included. */
export function count({ min, max }: { readonly min: number; readonly max: number }): AnnotationKind<number> {
  return {
    wanted: `a whole number from ${min} to ${max}`,
    parse: (text) => {
      const number = /^\d{1,10}$/.test(text) ? Number(text) : NaN;
      return number >= min && number <= max ? number : undefined;
    },
    render: String,
  };
}

/** A limit; none unless one is set. */
export function limit({ min }: { readonly min: number }): AnnotationKind<number | undefined> {
  return {
    ...count({ min, max: 0xffff_ffff }),
    render: (value) => value === undefined ? "no limit" : String(value),
  };
}

/** One of a few words. */
export function choice<const T extends string>(...choices: readonly T[]): AnnotationKind<T> {
  return {
    wanted: `one of ${choices.map((one) => `\`${one}\``).join(", ")}`,
    parse: (text) => choices.find((one) => one === text),
    render: String,
  };
}

/** Words with commas between, each once. */
export function words(known: readonly string[]): AnnotationKind<readonly string[]> {
  return {
    wanted: `a list with commas of ${known.map((one) => `\`${one}\``).join(", ")}`,
    parse: (text) => {
      const found = text.split(",").map((word) => word.trim());
      return found.every((word) => known.includes(word)) ? [...new Set(found)] : undefined;
    },
    render: (value) => value.join(","),
  };
}

/** What a hashing policy balances by. */
export type HashOn =
  | { readonly kind: "source-ip" }
  /** A request's header or cookie of that name. */
  | { readonly kind: "header" | "cookie"; readonly name: string };

/** A header's or cookie's name (RFC 9110, token). */
const TOKEN = /^[-!#$%&'*+.^_`|~0-9A-Za-z]{1,100}$/;

/** `source-ip`, `header:<name>` or `cookie:<name>`. */
export function hashOn(): AnnotationKind<HashOn> {
  return {
    wanted: "`source-ip`, `header:<name>` or `cookie:<name>`",
    parse: (text) => {
      if (text === "source-ip") return { kind: "source-ip" };
      const [, kind, name = ""] = /^(header|cookie):(.*)$/.exec(text) ?? [];
      return kind !== undefined && TOKEN.test(name) ? { kind: kind as "header" | "cookie", name } : undefined;
    },
    render: (value) => value.kind === "source-ip" ? value.kind : `${value.kind}:${value.name}`,
  };
}

/** Names of headers with commas between. */
export function headerNames(): AnnotationKind<readonly string[]> {
  return {
    wanted: "names of headers with commas between",
    parse: (text) => {
      const names = text.split(",").map((name) => name.trim().toLowerCase());
      return names.every((name) => TOKEN.test(name)) ? [...new Set(names)] : undefined;
    },
    render: (value) => value.join(","),
  };
}
