/**
 * Reads what the API server sends: list pages, lines of a watch stream, Status objects.
 *
 * In: decoded or textual JSON. Out: pages, `WatchEvent`s. Pure.
 * Source: Kubernetes "API Concepts", Efficient detection of changes; API reference, "ListMeta", "WatchEvent", "Status".
 * @module
 */
import { FieldReader, isFields } from "./_fields.ts";
import type { KubeObject } from "./objects.ts";
import { parseKubeObject } from "./parse.ts";
import type { WatchEvent } from "./watch_protocol.ts";

/** One page of a list. */
export interface ListPage {
  readonly objects: readonly KubeObject[];
  /** Version of the whole collection, from which a watch continues. */
  readonly resourceVersion: string;
  /** Empty on the last page. */
  readonly continueToken: string;
  /** Items that cannot be named, one sentence each. */
  readonly unreadable: readonly string[];
}

/**
 * Reads the body of a list.
 * @throws {SyntaxError} when it is not JSON, or not a list.
 */
export function readListPage(kind: KubeObject["kind"], body: string): ListPage {
  const list: unknown = JSON.parse(body);
  if (!isFields(list) || !isFields(list["metadata"])) {
    throw new SyntaxError("the answer is not a Kubernetes list");
  }
  const reader = new FieldReader(list, "", []);
  const metadata = reader.object("metadata");
  // Go encodes an empty slice as null in some lists.
  const items = Array.isArray(list["items"]) ? list["items"] : [];
  const objects: KubeObject[] = [];
  const unreadable: string[] = [];
  for (const item of items) {
    const result = parseKubeObject(item, kind);
    if ("object" in result) objects.push(result.object);
    else unreadable.push("invalid" in result ? result.invalid : result.ignored);
  }
  return {
    objects,
    resourceVersion: metadata.text("resourceVersion"),
    continueToken: metadata.text("continue"),
    unreadable,
  };
}

/** Reads one decoded line of a watch stream. An unknown type counts as an object that cannot be read. */
export function readWatchEvent(kind: KubeObject["kind"], line: unknown): WatchEvent {
  const event = new FieldReader(isFields(line) ? line : {}, "", []);
  const type = event.text("type");
  const raw = isFields(line) ? line["object"] : undefined;
  const resourceVersion = event.object("object").object("metadata").text("resourceVersion");
  switch (type) {
    case "ADDED":
    case "MODIFIED":
    case "DELETED": {
      const result = parseKubeObject(raw, kind);
      if ("object" in result) return { type, object: result.object };
      const reason = "invalid" in result ? result.invalid : result.ignored;
      return { type: "UNREADABLE", resourceVersion, reason };
    }
    case "BOOKMARK":
      return { type, resourceVersion };
    case "ERROR": {
      const status = event.object("object");
      const code = status.number("code") ?? 500;
      const details = status.object("details");
      return {
        type,
        failure: {
          status: code,
          retryAfterMs: (details.number("retryAfterSeconds") ?? 0) * 1000,
          message: status.text("message", `the watch reported an error with code ${code}`),
        },
      };
    }
    default:
      return { type: "UNREADABLE", resourceVersion, reason: `watch event of type ${JSON.stringify(type)}` };
  }
}

/** The Status object in the body of a refusal; where it is something else, its text as the message. */
export function decodeStatus(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    // A proxy in between, or plain text as for 429.
    return { message: body.trim().slice(0, 300) };
  }
}
