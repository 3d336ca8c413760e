/**
 * Reads fields of decoded JSON or YAML without trusting their types.
 *
 * In: an object of unknown shape. Out: a value of the wanted type, or its default and one sentence in `malformed`.
 * Invariants: nothing throws; an absent or null field is not malformed (the API treats both as unset).
 * @module
 */
import { shareText } from "./_shared_text.ts";

/** An object of unknown content. */
export type Fields = Readonly<Record<string, unknown>>;

/** Reads below one object and remembers where it is, so that a sentence can name the field. */
export class FieldReader {
  readonly #fields: Fields;
  readonly #path: string;
  readonly #malformed: string[];

  constructor(fields: Fields, path: string, malformed: string[]) {
    this.#fields = fields;
    this.#path = path;
    this.#malformed = malformed;
  }

  /** A text; `fallback` when unset or of another type. */
  text(key: string, fallback = ""): string {
    return this.optionalText(key) ?? fallback;
  }

  /** A text, or undefined when unset or of another type. */
  optionalText(key: string): string | undefined {
    const value = this.#fields[key];
    if (typeof value === "string") return value;
    if (value !== undefined && value !== null) this.reject(key, value, "a text");
    return undefined;
  }

  /** As `text`, for fields that thousands of objects have in common (zones, nodes, protocols): one copy of each text. */
  sharedText(key: string, fallback = ""): string {
    const value = this.optionalText(key);
    return value === undefined ? fallback : shareText(value);
  }

  /** A number, or undefined when unset or of another type. */
  number(key: string): number | undefined {
    const value = this.#fields[key];
    if (typeof value === "number") return value;
    if (value !== undefined && value !== null) this.reject(key, value, "a number");
    return undefined;
  }

  /** A boolean, or undefined when unset or of another type. */
  boolean(key: string): boolean | undefined {
    const value = this.#fields[key];
    if (typeof value === "boolean") return value;
    if (value !== undefined && value !== null) this.reject(key, value, "true or false");
    return undefined;
  }

  /** A time in RFC 3339, as milliseconds since the epoch; 0 when unset or not a time. */
  timeMs(key: string): number {
    const text = this.text(key);
    if (text === "") return 0;
    const timeMs = Date.parse(text);
    if (!Number.isNaN(timeMs)) return timeMs;
    this.reject(key, text, "a time as RFC 3339 writes it");
    return 0;
  }

  /** A nested object; an empty one when unset or of another type. */
  object(key: string): FieldReader {
    const value = this.#fields[key];
    const path = this.#pathOf(key);
    if (isFields(value)) return new FieldReader(value, path, this.#malformed);
    if (value !== undefined && value !== null) this.reject(key, value, "an object");
    return new FieldReader({}, path, this.#malformed);
  }

  /** The objects of a list; entries of another type are left out. Empty when unset. */
  objects(key: string): FieldReader[] {
    const readers: FieldReader[] = [];
    for (const [index, value] of this.#list(key).entries()) {
      if (isFields(value)) {
        readers.push(new FieldReader(value, `${this.#pathOf(key)}[${index}]`, this.#malformed));
      } else {
        this.reject(`${key}[${index}]`, value, "an object");
      }
    }
    return readers;
  }

  /** The texts of a list; entries of another type and empty ones are left out. Empty when unset. */
  texts(key: string): string[] {
    const texts: string[] = [];
    for (const [index, value] of this.#list(key).entries()) {
      if (typeof value !== "string") this.reject(`${key}[${index}]`, value, "a text");
      else if (value !== "") texts.push(value);
    }
    return texts;
  }

  /** Names of the fields that are set (not null). */
  keys(): string[] {
    return Object.keys(this.#fields).filter((key) => this.#fields[key] !== null);
  }

  /** True when the field is present and not null. */
  has(key: string): boolean {
    return Object.hasOwn(this.#fields, key) && this.#fields[key] !== null;
  }

  /** Adds a sentence: the field is left out because it is not what it should be. */
  reject(key: string, value: unknown, wanted: string): void {
    this.#malformed.push(describeRejected(this.#pathOf(key), value, wanted));
  }

  /** Adds a sentence: a field without which the object around it has no use is missing. */
  missing(key: string, consequence: string): void {
    this.#malformed.push(describeMissing(this.#pathOf(key), consequence));
  }

  #list(key: string): readonly unknown[] {
    const value = this.#fields[key];
    if (Array.isArray(value)) return value;
    if (value !== undefined && value !== null) this.reject(key, value, "a list");
    return [];
  }

  #pathOf(key: string): string {
    return this.#path === "" ? key : `${this.#path}.${key}`;
  }
}

/** True for objects that are neither null nor a list. */
export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The sentence about a field that is left out because it is not what it should be. */
export function describeRejected(path: string, value: unknown, wanted: string): string {
  const quoted = typeof value === "string"
    ? `the text ${JSON.stringify(value.slice(0, 60))}`
    : describe(value);
  return `${path} is ${quoted}, not ${wanted}`;
}

/** The sentence about a field that is missing, and without which the object around it has no use. */
export function describeMissing(path: string, consequence: string): string {
  return `${path} is missing: ${consequence}`;
}

function describe(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "an object";
  return `the ${typeof value} ${String(value).slice(0, 60)}`;
}
