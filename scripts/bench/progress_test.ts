import { assertEquals } from "@std/assert/equals";
import { createLogger, type Logger } from "../../agent/log.ts";
import { StreamReport } from "../../xds/stream_report.ts";
import { growth, Progress } from "./progress.ts";

function loggerInto(progress: Progress, clock: { ms: number }): Logger {
  return createLogger({ level: "debug", format: "json", write: (line) => progress.take(line, clock.ms++) });
}

Deno.test("Progress counts what the ADS server reports, and knows what is under way", () => {
  const progress = new Progress();
  const clock = { ms: 1 };
  const report = new StreamReport({ streamId: 1, observer: {}, logger: loggerInto(progress, clock) });
  const names = Array.from({ length: 9 }, (_, index) => `10.96.1.${index + 1}:80`);
  const resources = names.map((name) => ({ name, version: "v", bytes: new Uint8Array(3) }));
  const response = { type: "Cluster", nonce: "1.1", removed: ["gone"], bytes: 700 } as const;
  report.responded({ ...response, resources });
  report.responded({ ...response, nonce: "1.2", resources: resources.slice(0, 2), removed: [], bytes: 30 });
  const sent = progress.counts;
  assertEquals(sent, { programmed: 0, taken: 0, refused: 0, resourcesSent: 12, bytesSent: 730 });
  assertEquals(progress.outstanding, 2);

  const request = {
    node: undefined,
    typeUrl: "",
    resourceNamesSubscribe: [],
    resourceNamesUnsubscribe: [],
    initialResourceVersions: {},
    responseNonce: "1.1",
    errorDetail: undefined,
    resourceLocatorsSubscribe: [],
    resourceLocatorsUnsubscribe: [],
  };
  const ack = { kind: "ack", names, latencyMs: 1, waitedMs: [] } as const;
  report.requested("Cluster", request, { answer: ack, asked: [], held: [] });
  assertEquals([progress.outstanding, progress.lastMs], [1, 3]);
  const rejected = names.slice(0, 2).map((name) => (
    { name, version: "v", reason: "no", atMs: 0, inUse: undefined }
  ));
  const nack = { kind: "nack", error: "no", rejected, retried: [] } as const;
  report.requested("Cluster", { ...request, responseNonce: "1.2" }, { answer: nack, asked: [], held: [] });
  assertEquals(progress.outstanding, 0);
  assertEquals(growth(sent, progress.counts), {
    programmed: 0,
    taken: 1,
    refused: 1,
    resourcesSent: 0,
    bytesSent: 0,
  });
});

Deno.test("Progress takes word of the kernel, remembers milestones, and passes over what is no log line", () => {
  const progress = new Progress();
  const logger = loggerInto(progress, { ms: 10 });
  progress.take("Warning: something of Deno's own", 1);
  logger.info("synced", { resource: "services" });
  logger.info("synced", { resource: "services" });
  logger.debug("changes are in the kernel", { services: 2, endpointSlices: 3 });
  logger.debug("watching");
  assertEquals(progress.counts.programmed, 5);
  assertEquals(progress.lastMs, 12);
  assertEquals([...progress.milestones], [["synced services", 10]]);
});
