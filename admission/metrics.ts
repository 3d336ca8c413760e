/**
 * Counts what the webhook does.
 *
 * In: answers, certificates. Out: Prometheus text. Invariants: a registry of its own; nothing here throws.
 * @module
 */
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import { registerProcessMetrics } from "../agent/process_metrics.ts";
import type { ReviewResult } from "./review.ts";

/** What became of an HTTP request: a review's result, or that there was none to answer. */
export type CountedResult = ReviewResult | "refused";

/** All there are, so that each is there from the start, with 0. */
const RESULTS: readonly CountedResult[] = [
  "labelled",
  "ours",
  "foreign",
  "opted-out",
  "excluded",
  "nothing-to-serve",
  "not-ours",
  "refused",
];

/** Takes what happens. */
export interface AdmissionMetrics {
  readonly contentType: string;
  render(): Promise<string>;
  answered(result: CountedResult, durationMs: number): void;
  /** Which certificate is served with, by its end. */
  serving(notAfterMs: number): void;
  certificateCreated(): void;
  certificateFailed(): void;
}

/** Creates them. */
export function createAdmissionMetrics({ version }: { readonly version: string }): AdmissionMetrics {
  const registry = new Registry();
  const registers = [registry];
  registerProcessMetrics(registry);
  new Gauge({
    name: "lightpath_build_info",
    help: "Always 1; the version is in the label.",
    labelNames: ["version"],
    registers,
  }).set({ version }, 1);
  const requests = new Counter({
    name: "lightpath_admission_requests_total",
    help:
      "Requests of the API server by what became of them: labelled, or why the object was left as it is; refused: no review.",
    labelNames: ["result"],
    registers,
  });
  for (const result of RESULTS) requests.inc({ result }, 0);
  const duration = new Histogram({
    name: "lightpath_admission_duration_seconds",
    help: "Time to decide, without the network.",
    buckets: [0.0001, 0.001, 0.01, 0.1, 1],
    registers,
  });
  const expiry = new Gauge({
    name: "lightpath_admission_certificate_expiry_timestamp_seconds",
    help: "When the certificate that is served with ends, in seconds since the epoch; 0: there is none yet.",
    registers,
  });
  const created = new Counter({
    name: "lightpath_admission_certificates_created_total",
    help: "Certificates this replica has made and stored.",
    registers,
  });
  const failures = new Counter({
    name: "lightpath_admission_certificate_failures_total",
    help: "Looks after the certificate that failed and are tried again.",
    registers,
  });
  return {
    contentType: registry.contentType,
    render: () => registry.metrics(),
    answered: (result, durationMs) => {
      requests.inc({ result });
      duration.observe(durationMs / 1000);
    },
    serving: (notAfterMs) => expiry.set(notAfterMs / 1000),
    certificateCreated: () => created.inc(),
    certificateFailed: () => failures.inc(),
  };
}
