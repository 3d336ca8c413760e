/**
 * Reads the text of one manifest file.
 *
 * In: YAML with several documents, or JSON; objects of any kind, also inside `kind: List`.
 * Out: the Services and EndpointSlices with the line each starts at, and problems with file, line and reason.
 * Invariants: nothing throws. A text that does not parse yields no object at all, so that the caller can keep the
 * file's last good state instead of half of the new one. Each object's resourceVersion is a hash of what we read of
 * it: equal content is an equal version.
 * Source: YAML 1.2; what `kubectl apply -f` accepts.
 * @module
 */
import { createHash } from "node:crypto";
import { LineCounter, parseAllDocuments } from "yaml";
import { isFields } from "./_fields.ts";
import type { KubeObject } from "./objects.ts";
import { parseKubeObject } from "./parse.ts";

/** Something in a manifest that cannot be used. */
export interface ManifestProblem {
  readonly file: string;
  /** Starts at 1; 0 when the file as a whole is meant. */
  readonly line: number;
  /** What is wrong and what happens instead. */
  readonly reason: string;
}

/** An object and where it stands. */
export interface ManifestObject {
  readonly object: KubeObject;
  readonly line: number;
}

/** What a file holds. */
export interface ManifestFile {
  /** Undefined when the text does not parse: the last good state stays. */
  readonly objects: readonly ManifestObject[] | undefined;
  readonly problems: readonly ManifestProblem[];
}

/** Reads one file's text. `file` is its path, for problems; its ending tells JSON from YAML. */
export function parseManifestFile(file: string, text: string): ManifestFile {
  const documents = file.endsWith(".json") ? readJson(text) : readYaml(text);
  if ("reason" in documents) {
    const reason = `does not parse, so what it held before stays: ${documents.reason}`;
    return { objects: undefined, problems: [{ file, line: documents.line, reason }] };
  }
  const objects: ManifestObject[] = [];
  const problems: ManifestProblem[] = [];
  for (const { value, line } of documents.values) {
    for (const raw of unpackList(value)) {
      const result = parseKubeObject(raw);
      if ("object" in result) objects.push({ object: withContentVersion(result.object), line });
      else if ("invalid" in result) problems.push({ file, line, reason: `${result.invalid}: left out` });
    }
  }
  return { objects, problems };
}

/** `file:line: reason`, as compilers write it. */
export function renderManifestProblem(problem: ManifestProblem): string {
  return `${problem.file}${problem.line > 0 ? `:${problem.line}` : ""}: ${problem.reason}`;
}

type Documents =
  | { readonly values: readonly { readonly value: unknown; readonly line: number }[] }
  | { readonly line: number; readonly reason: string };

function readYaml(text: string): Documents {
  const lineCounter = new LineCounter();
  // `merge`: kubectl reads YAML 1.1, where `<<` merges. Without pretty errors the message is one sentence.
  const documents = parseAllDocuments(text, { lineCounter, merge: true, prettyErrors: false });
  const values: { value: unknown; line: number }[] = [];
  for (const document of documents) {
    const error = document.errors[0];
    if (error !== undefined) return { line: lineCounter.linePos(error.pos[0]).line, reason: error.message };
    const line = lineCounter.linePos(document.contents?.range?.[0] ?? 0).line;
    try {
      const value: unknown = document.toJS();
      // Comments between two `---` are an empty document, not a broken one.
      if (value !== null && value !== undefined) values.push({ value, line });
    } catch (error) {
      // An alias without its anchor, or aliases that multiply without bound.
      return { line, reason: error instanceof Error ? error.message : String(error) };
    }
  }
  return { values };
}

function readJson(text: string): Documents {
  if (text.trim() === "") return { values: [] };
  try {
    return { values: [{ value: JSON.parse(text), line: 1 }] };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { line: Number(/\(line (\d+)/.exec(reason)?.[1] ?? 1), reason };
  }
}

function unpackList(value: unknown): readonly unknown[] {
  if (!isFields(value)) return [value];
  const { kind, items } = value;
  if (typeof kind !== "string" || !kind.endsWith("List") || !Array.isArray(items)) return [value];
  if (kind === "List") return items;
  // `kubectl get --raw` and API clients write typed lists, whose items do not repeat what they are.
  const inherited = { apiVersion: value["apiVersion"], kind: kind.slice(0, -"List".length) };
  return items.map((item: unknown) => isFields(item) ? { ...inherited, ...item } : item);
}

function withContentVersion(object: KubeObject): KubeObject {
  const content = JSON.stringify({ ...object, resourceVersion: "" });
  return {
    ...object,
    resourceVersion: createHash("sha256").update(content).digest("base64url").slice(0, 22),
  };
}
