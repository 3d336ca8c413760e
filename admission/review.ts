/**
 * Answers one AdmissionReview: the webhook's decision, from JSON to JSON.
 *
 * In: a decoded body, the rules. Out: the review to send back and what became of the request; or a {@linkcode ReviewFault}.
 * Invariants: pure. Whatever is understood is allowed: this webhook forbids nothing. A dry run is answered like any other
 * request, because answering changes nothing anywhere.
 * Source: Kubernetes `admission.k8s.io/v1`; "Dynamic Admission Control", webhook request and response; RFC 6901, 6902.
 * @module
 */
import { type Fields, isFields, SERVICE_PROXY_NAME_LABEL } from "../agent/kube/mod.ts";
import { type AdoptionRules, judgeAdoption, type LeftBecause, readCandidate } from "./judge_adoption.ts";

/** The only version there is besides the removed v1beta1. */
export const REVIEW_VERSION = "admission.k8s.io/v1";

/** What became of a request, as the metric's label says it. */
export type ReviewResult =
  | "labelled"
  | LeftBecause
  /** It was no creation of a v1 Service, or none that can be read; the API server should not have asked. */
  | "not-ours";

/** A body that is no review this webhook can answer. One sentence for whoever sent it. */
export interface ReviewFault {
  readonly fault: string;
}

/** The answer, and what to say of it in the log. */
export interface AnsweredReview {
  readonly review: AdmissionReviewResponse;
  readonly result: ReviewResult;
  /** `default/echo`, or what else was asked about. */
  readonly about: string;
  /** Why, as the end of a sentence that begins with `about`. */
  readonly because: string;
  readonly dryRun: boolean;
}

/** An `AdmissionReview` with a response. */
export interface AdmissionReviewResponse {
  readonly apiVersion: typeof REVIEW_VERSION;
  readonly kind: "AdmissionReview";
  readonly response: {
    readonly uid: string;
    readonly allowed: true;
    readonly patchType?: "JSONPatch";
    /** A JSON patch, in base64. */
    readonly patch?: string;
    readonly warnings?: readonly string[];
  };
}

/** An operation of a JSON patch. */
export interface PatchOperation {
  readonly op: "add";
  readonly path: string;
  readonly value: unknown;
}

/** Answers a review. */
export function answerReview(body: unknown, rules: AdoptionRules): AnsweredReview | ReviewFault {
  if (!isFields(body) || body["kind"] !== "AdmissionReview") {
    return { fault: "the body is no AdmissionReview" };
  }
  const { apiVersion, request } = body;
  if (apiVersion !== REVIEW_VERSION) {
    const given = typeof apiVersion === "string" ? shorten(apiVersion, 60) : "none";
    return {
      fault: `this webhook speaks AdmissionReview of ${REVIEW_VERSION}; the body's apiVersion is ${given}`,
    };
  }
  if (!isFields(request) || typeof request["uid"] !== "string" || request["uid"] === "") {
    return { fault: "the AdmissionReview has no request with a uid" };
  }
  const asked = readRequest(request);
  const answer = (
    result: ReviewResult,
    because: string,
    parts: Pick<AdmissionReviewResponse["response"], "patchType" | "patch" | "warnings"> = {},
  ): AnsweredReview => ({
    review: {
      apiVersion: REVIEW_VERSION,
      kind: "AdmissionReview",
      response: { uid: asked.uid, allowed: true, ...parts },
    },
    result,
    about: asked.about,
    because,
    dryRun: asked.dryRun,
  });
  const letThrough = (because: string): AnsweredReview =>
    answer("not-ours", because, {
      warnings: [warn(`Lightpath's webhook ${because}; let through untouched`)],
    });

  if (!asked.isCreationOfService) {
    return letThrough(`labels v1 Services when they are created, not ${asked.what}`);
  }
  const service = readCandidate(request["object"], asked.namespace);
  if ("unreadable" in service) return letThrough(`cannot read the Service: ${service.unreadable}`);
  const verdict = judgeAdoption(service, rules);
  if (verdict.kind === "leave") return answer(verdict.left, verdict.because);
  const patch = labelPatch(rules.proxyName, service.hasLabels);
  return answer("labelled", verdict.because, {
    patchType: "JSONPatch",
    patch: toBase64(JSON.stringify(patch)),
  });
}

/**
 * Sets the label in a Service that has it not. Where there are no labels the map has to come first: `add` does not make parents
 * (RFC 6902, 4.1).
 */
export function labelPatch(proxyName: string, hasLabels: boolean): readonly PatchOperation[] {
  if (!hasLabels) {
    return [{ op: "add", path: "/metadata/labels", value: { [SERVICE_PROXY_NAME_LABEL]: proxyName } }];
  }
  const key = SERVICE_PROXY_NAME_LABEL.replaceAll("~", "~0").replaceAll("/", "~1");
  return [{ op: "add", path: `/metadata/labels/${key}`, value: proxyName }];
}

interface ReadRequest {
  readonly uid: string;
  readonly namespace: string;
  readonly about: string;
  readonly dryRun: boolean;
  readonly isCreationOfService: boolean;
  /** `UPDATE of services/status`. */
  readonly what: string;
}

function readRequest(request: Fields): ReadRequest {
  const text = (value: unknown): string => typeof value === "string" ? value : "";
  const resource = isFields(request["resource"]) ? request["resource"] : {};
  const [group, version, plural] = [resource["group"], resource["version"], resource["resource"]].map(text);
  const [subResource, operation] = [text(request["subResource"]), text(request["operation"])];
  const [namespace, name] = [text(request["namespace"]), text(request["name"])];
  const groupVersion = group === "" ? version : `${group}/${version}`;
  const full = `${groupVersion} ${plural}${subResource === "" ? "" : `/${subResource}`}`;
  const object = isFields(request["object"]) ? request["object"] : {};
  const metadata = isFields(object["metadata"]) ? object["metadata"] : {};
  const called = name || text(metadata["name"]) || `${text(metadata["generateName"])}*`;
  return {
    uid: text(request["uid"]),
    namespace,
    about: shorten(namespace === "" ? called : `${namespace}/${called}`, 320),
    dryRun: request["dryRun"] === true,
    isCreationOfService: operation === "CREATE" && full === "v1 services",
    what: `${shorten(operation, 20) || "something"} of ${shorten(full.trim(), 120) || "something"}`,
  };
}

/** The API allows 256 characters for a warning, and cuts none itself. */
const MAX_WARNING_CHARACTERS = 256;

function warn(sentence: string): string {
  return shorten(sentence.replace(/\p{Cc}+/gu, " "), MAX_WARNING_CHARACTERS);
}

function shorten(text: string, longest: number): string {
  const characters = [...text];
  return characters.length <= longest ? text : `${characters.slice(0, longest - 1).join("")}…`;
}

function toBase64(text: string): string {
  return new TextEncoder().encode(text).toBase64();
}
