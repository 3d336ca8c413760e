/**
 * Reads what an API server says of the one Node that was asked for, in JSON: a list of at most one, and a watch stream.
 *
 * In: bytes, of a stream as they arrive. Out: the facts of that Node, undefined where there is none.
 * Source: Kubernetes "API Concepts", Efficient detection of changes; API reference, "NodeList v1", "WatchEvent".
 * @module
 */
import { FieldReader, isFields } from "../_fields.ts";
import { type NodeFacts, readNode } from "../node_facts.ts";
import type { WatchFailure } from "../watch_protocol.ts";
import { checkListVersion, watchFailureOf } from "./format.ts";
import { statusOf } from "./json_format.ts";
import { JsonLineDecoder } from "./json_lines.ts";

/** What a Node says now, or why the stream is of no use any more. */
export type NodeEvent =
  | { readonly type: "IS"; readonly facts: NodeFacts | undefined }
  | { readonly type: "ERROR"; readonly failure: WatchFailure };

/** The Node, and the version from which a watch continues. @throws {SyntaxError} when the bytes are no list */
export function readNodeList(
  body: Uint8Array,
): { readonly facts: NodeFacts | undefined; readonly resourceVersion: string } {
  const list: unknown = JSON.parse(new TextDecoder().decode(body));
  if (!isFields(list)) throw new SyntaxError("the answer is not a Kubernetes list");
  const metadata = new FieldReader(list, "", []).object("metadata");
  const resourceVersion = checkListVersion({
    resourceVersion: metadata.text("resourceVersion"),
    continueToken: metadata.text("continue"),
  });
  const [node] = Array.isArray(list["items"]) ? list["items"].filter(isFields) : [];
  return { facts: node && readNode(node), resourceVersion };
}

/** Decodes one watch stream. */
export class NodeWatchDecoder {
  readonly #lines = new JsonLineDecoder();

  /** What the next chunk completes. Bookmarks say nothing. @throws {SyntaxError | RangeError} when it is no watch stream */
  push(chunk: Uint8Array): readonly NodeEvent[] {
    return this.#lines.push(chunk).flatMap((line): readonly NodeEvent[] => {
      const { type, object } = isFields(line) ? line : {};
      switch (type) {
        case "ADDED":
        case "MODIFIED":
          return [{ type: "IS", facts: readNode(isFields(object) ? object : {}) }];
        case "DELETED":
          return [{ type: "IS", facts: undefined }];
        case "ERROR":
          return [{ type, failure: watchFailureOf(statusOf(object)) }];
        default:
          return [];
      }
    });
  }
}
