/**
 * Reads the YAML file of settings into texts with the line each stands on.
 *
 * In: the file's text: one mapping whose keys are flags without their dashes, whose values are scalars or lists of
 * scalars. Out: the entries in the order of the file, and one sentence for each thing that is not of this shape.
 * Invariants: pure; a scalar keeps the spelling of the file (`007` stays `007`), so that the same text means the same
 * in a flag and in the file. What keys and values mean is not judged here.
 * @module
 */

import { isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, type Scalar } from "yaml";

/** One key of the file. */
export interface ConfigFileEntry {
  readonly key: string;
  readonly texts: readonly string[];
  /** Whether the value is written as a list. */
  readonly list: boolean;
  /** `path:line`. */
  readonly origin: string;
}

/** What the file says, and what is wrong with it. */
export interface ParsedConfigFile {
  readonly entries: readonly ConfigFileEntry[];
  /** Sentences that begin with `path:line:`. */
  readonly errors: readonly string[];
}

/** Parses the text of a configuration file; `path` only names it in origins and errors. */
export function parseConfigFile(path: string, content: string): ParsedConfigFile {
  const lineCounter = new LineCounter();
  const document = parseDocument(content, { lineCounter, prettyErrors: false, version: "1.2" });
  const at = (offset: number | undefined): string => `${path}:${lineCounter.linePos(offset ?? 0).line || 1}`;
  if (document.errors.length > 0) {
    return { entries: [], errors: document.errors.map((error) => `${at(error.pos[0])}: ${error.message}`) };
  }
  const root = document.contents;
  if (root === null || (isScalar(root) && root.value === null)) return { entries: [], errors: [] };
  if (!isMap(root)) {
    return { entries: [], errors: [`${at(root.range?.[0])}: wanted "key: value" lines, with flags as keys`] };
  }
  const entries: ConfigFileEntry[] = [];
  const errors: string[] = [];
  for (const pair of root.items) {
    const keyNode = pair.key as Node | null;
    const origin = at(keyNode?.range?.[0]);
    const key = isScalar(keyNode) ? spelling(keyNode) : undefined;
    if (key === undefined) {
      errors.push(`${origin}: a key has to be the name of a flag without its dashes`);
      continue;
    }
    const value = pair.value as Node | null;
    const texts = isSeq(value) ? value.items.map((item) => spelling(item)) : [spelling(value)];
    const known = texts.filter((text) => text !== undefined);
    if (known.length !== texts.length) {
      errors.push(`${origin}: "${key}" wants a value, or a list of values`);
      continue;
    }
    entries.push({ key, texts: known, list: isSeq(value), origin });
  }
  return { entries, errors };
}

/** A scalar as written, without its quotes; undefined for anything that is no scalar, and for an empty value. */
function spelling(node: unknown): string | undefined {
  if (!isScalar(node)) return undefined;
  const scalar: Scalar = node;
  if (scalar.value === null || scalar.value === undefined) return undefined;
  return typeof scalar.value === "string" ? scalar.value : scalar.source ?? String(scalar.value);
}
