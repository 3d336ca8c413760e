/**
 * Answers one HTTP request of the webhook's port: what is refused before the review is looked at, and with which status.
 *
 * In: method, path, content type, body. Out: status, headers, body; and the answered review for log and counters.
 * Invariants: pure, but for decoding. A fault of the request is a 4xx with one sentence. With `failurePolicy: Ignore` the API
 * server then goes on without us, so no Service waits for it.
 * Source: Kubernetes "Dynamic Admission Control": POST, `Content-Type: application/json`.
 * @module
 */
import type { AdoptionRules } from "./judge_adoption.ts";
import { type AnsweredReview, answerReview } from "./review.ts";

/** The path of the webhook, as `clientConfig` names it. */
export const WEBHOOK_PATH = "/mutate";

/**
 * The longest body that is read. An API server takes objects of 3 MiB at most (`MaxRequestBodyBytes`), and a review has the
 * object up to twice (`object`, `oldObject`) with a little around it.
 */
export const MAX_BODY_BYTES = 7 * 1024 * 1024;

/** What is looked at of a request. */
export interface AdmissionHttpRequest {
  readonly method: string;
  /** Without its query. */
  readonly path: string;
  /** Empty when there is none. */
  readonly contentType: string;
  readonly body: Uint8Array | "too-long" | "too-slow";
}

/** What is sent back. */
export interface AdmissionHttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** None: the request was refused, and the body says why. */
  readonly answered?: AnsweredReview;
}

/** Answers a request. */
export function answerHttp(request: AdmissionHttpRequest, rules: AdoptionRules): AdmissionHttpAnswer {
  const { method, path, contentType, body } = request;
  if (path !== WEBHOOK_PATH) return refuse(404, `not found: the webhook is at ${WEBHOOK_PATH}`);
  if (method !== "POST") return refuse(405, `${WEBHOOK_PATH} takes POST only`, { allow: "POST" });
  if (contentType.split(";")[0]?.trim().toLowerCase() !== "application/json") {
    return refuse(415, `${WEBHOOK_PATH} takes application/json only`);
  }
  if (body === "too-long") return refuse(413, `the body is longer than ${MAX_BODY_BYTES} bytes`);
  if (body === "too-slow") return refuse(408, "the body did not come in time");
  const decoded = decode(body);
  if ("fault" in decoded) return refuse(400, decoded.fault);
  const answered = answerReview(decoded.value, rules);
  if ("fault" in answered) return refuse(400, answered.fault);
  return {
    status: 200,
    headers: { ...HEADERS, "content-type": "application/json" },
    body: JSON.stringify(answered.review),
    answered,
  };
}

const HEADERS = { "x-content-type-options": "nosniff", "cache-control": "no-store" } as const;

function refuse(
  status: number,
  sentence: string,
  headers: Readonly<Record<string, string>> = {},
): AdmissionHttpAnswer {
  return {
    status,
    headers: { ...HEADERS, ...headers, "content-type": "text/plain; charset=utf-8" },
    body: `${sentence}\n`,
  };
}

function decode(body: Uint8Array): { readonly value: unknown } | { readonly fault: string } {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(body);
  } catch {
    return { fault: "the body is not UTF-8" };
  }
  if (text.trim() === "") return { fault: "the body is empty" };
  try {
    return { value: JSON.parse(text) };
  } catch (error) {
    return { fault: `the body is not JSON: ${error instanceof Error ? error.message : String(error)}` };
  }
}
