/**
 * The API's JSON: what a server answers that does not speak protobuf.
 *
 * A list is decoded as a whole when it is there: a parser that stops in the middle is not worth its code for a format
 * that Kubernetes' own servers are not asked for first.
 * Source: Kubernetes "API Concepts", Efficient detection of changes; API reference, "ListMeta", "WatchEvent", "Status".
 * @module
 */
import { FieldReader, isFields } from "../_fields.ts";
import type { KubeObject } from "../objects.ts";
import { parseKubeObject } from "../parse.ts";
import type { WatchEvent } from "../watch_protocol.ts";
import {
  type AnswerFormat,
  type ApiStatus,
  checkListVersion,
  type ListDecoder,
  type ListPart,
  type WatchDecoder,
  watchFailureOf,
} from "./format.ts";
import { concat, JsonLineDecoder } from "./json_lines.ts";

/** `application/json` */
export const JSON_FORMAT: AnswerFormat = {
  listDecoder: (kind) => new JsonListDecoder(kind),
  watchDecoder: (kind) => new JsonWatchDecoder(kind),
  readStatus: (body) => {
    const text = new TextDecoder().decode(body);
    try {
      return statusOf(JSON.parse(text));
    } catch {
      // A proxy in between, or plain text as for 429.
      return statusOf({ message: text.trim().slice(0, 300) });
    }
  },
};

const NOTHING_YET: ListPart = { objects: [], unreadable: [], resourceVersion: "" };

class JsonListDecoder implements ListDecoder {
  readonly #kind: KubeObject["kind"];
  readonly #chunks: Uint8Array[] = [];

  constructor(kind: KubeObject["kind"]) {
    this.#kind = kind;
  }

  push(chunk: Uint8Array): ListPart {
    this.#chunks.push(chunk);
    return NOTHING_YET;
  }

  end(): ListPart {
    const list: unknown = JSON.parse(new TextDecoder().decode(concat(this.#chunks.splice(0))));
    if (!isFields(list) || !isFields(list["metadata"])) {
      throw new SyntaxError("the answer is not a Kubernetes list");
    }
    const metadata = new FieldReader(list, "", []).object("metadata");
    const resourceVersion = checkListVersion({
      resourceVersion: metadata.text("resourceVersion"),
      continueToken: metadata.text("continue"),
    });
    const objects: KubeObject[] = [];
    const unreadable: string[] = [];
    // Go encodes an empty slice as null in some lists.
    for (const item of Array.isArray(list["items"]) ? list["items"] : []) {
      const result = parseKubeObject(item, this.#kind);
      if ("object" in result) objects.push(result.object);
      else unreadable.push("invalid" in result ? result.invalid : result.ignored);
    }
    return { objects, unreadable, resourceVersion };
  }
}

class JsonWatchDecoder implements WatchDecoder {
  readonly #kind: KubeObject["kind"];
  readonly #lines = new JsonLineDecoder();

  constructor(kind: KubeObject["kind"]) {
    this.#kind = kind;
  }

  push(chunk: Uint8Array): WatchEvent[] {
    return this.#lines.push(chunk).map((line) => readWatchEvent(this.#kind, line));
  }
}

/** Reads one decoded line of a watch stream. An unknown type counts as an object that cannot be read. */
function readWatchEvent(kind: KubeObject["kind"], line: unknown): WatchEvent {
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
    case "ERROR":
      return { type, failure: watchFailureOf(statusOf(raw)) };
    default:
      return { type: "UNREADABLE", resourceVersion, reason: `watch event of type ${JSON.stringify(type)}` };
  }
}

/** A decoded Status. */
export function statusOf(value: unknown): ApiStatus {
  const status = new FieldReader(isFields(value) ? value : {}, "", []);
  return {
    code: status.number("code") ?? 0,
    reason: status.text("reason"),
    message: status.text("message"),
    retryAfterMs: (status.object("details").number("retryAfterSeconds") ?? 0) * 1000,
  };
}
