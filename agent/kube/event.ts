/**
 * Puts a problem of a Service into an Event, which `kubectl describe service` shows to whoever wrote it.
 *
 * In: a Problem with its Service. Out: the Event as JSON. Pure but for the time, which is given.
 * Invariant: the name follows from the Service's uid and the message alone. So every agent of the cluster writes the same
 * one, the API server makes it one (the second gets 409), and as long as the API server keeps it (an hour by default) the
 * same thing is not said again, be it for a restarted agent or a problem that comes back.
 * Source: Kubernetes API reference, "Event v1 events.k8s.io", and its validation (pkg/apis/core/validation/events.go): all
 * fields below are required, `note` has at most 1,024 bytes, names in CamelCase at most 128; MicroTime has six decimals.
 * @module
 */
import { hash } from "node:crypto";
import type { ProblemKind, ServiceReference } from "../model/mod.ts";
import { EVENTS_API_VERSION } from "./kube_api_error.ts";

/** An `events.k8s.io/v1` Event. */
export interface KubeEvent {
  readonly apiVersion: string;
  readonly kind: "Event";
  readonly metadata: { readonly namespace: string; readonly name: string };
  readonly eventTime: string;
  readonly type: "Warning";
  readonly reason: string;
  readonly action: string;
  readonly note: string;
  readonly regarding: ServiceReference & { readonly apiVersion: "v1"; readonly kind: "Service" };
  readonly reportingController: string;
  readonly reportingInstance: string;
}

/** What is to be said. */
export interface ToldProblem {
  readonly service: ServiceReference;
  readonly kind: ProblemKind;
  readonly message: string;
}

/** The Event of a problem, as the agent of a node tells it at a time (milliseconds since the epoch). */
export function problemEvent(
  { service, kind, message }: ToldProblem,
  { nodeName, nowMs }: { readonly nodeName: string; readonly nowMs: number },
): KubeEvent {
  const { namespace, name, uid } = service;
  const digest = hash("sha256", JSON.stringify([uid, kind, message])).slice(0, 16);
  return {
    apiVersion: EVENTS_API_VERSION,
    kind: "Event",
    metadata: { namespace, name: `${name}.${digest}` },
    eventTime: new Date(nowMs).toISOString().replace("Z", "000Z"),
    type: "Warning",
    reason: reasonOf(kind),
    action: "Serve",
    note: upToBytes(message, 1_024),
    regarding: { apiVersion: "v1", kind: "Service", namespace, name, uid },
    reportingController: "lightpath.cloud/agent",
    reportingInstance: nodeName.slice(0, 128),
  };
}

/** `InvalidAnnotation` for `invalid-annotation`. */
function reasonOf(kind: ProblemKind): string {
  return kind.split("-").map((word) => `${word.charAt(0).toUpperCase()}${word.slice(1)}`).join("");
}

/** The longest beginning that has so many bytes in UTF-8, without half a character. */
function upToBytes(text: string, bytes: number): string {
  const { read } = new TextEncoder().encodeInto(text, new Uint8Array(bytes));
  return text.slice(0, read);
}
