import { assertEquals } from "@std/assert/equals";
import { problemEvent, type ToldProblem } from "./event.ts";

const PROBLEM: ToldProblem = {
  service: { namespace: "default", name: "echo", uid: "0d2f6a0e-8a53-4f3c-9d0e-1f2a3b4c5d6e" },
  kind: "invalid-annotation",
  message: 'annotation config.lightpath.cloud/num-retries "many" is not a number',
};
const WHEN = { nodeName: "node-1", nowMs: Date.UTC(2026, 0, 2, 3, 4, 5, 6) };

const nameOf = (problem: ToldProblem, when = WHEN): string => problemEvent(problem, when).metadata.name;

Deno.test("problemEvent() has every field that the API demands", () => {
  const { metadata, ...rest } = problemEvent(PROBLEM, WHEN);
  assertEquals(metadata.namespace, "default");
  assertEquals(/^echo\.[0-9a-f]{16}$/.test(metadata.name), true, metadata.name);
  assertEquals(rest, {
    apiVersion: "events.k8s.io/v1",
    kind: "Event",
    eventTime: "2026-01-02T03:04:05.006000Z",
    type: "Warning",
    reason: "InvalidAnnotation",
    action: "Serve",
    note: PROBLEM.message,
    regarding: { apiVersion: "v1", kind: "Service", ...PROBLEM.service },
    reportingController: "lightpath.cloud/agent",
    reportingInstance: "node-1",
  });
});

Deno.test("problemEvent() names the same thing alike on every node and at any time, and other things otherwise", () => {
  assertEquals(nameOf(PROBLEM, { nodeName: "node-2", nowMs: WHEN.nowMs + 1 }), nameOf(PROBLEM));
  const others: readonly Partial<ToldProblem>[] = [
    { message: "something else" },
    { kind: "unsupported" },
    { service: { ...PROBLEM.service, uid: "another" } },
  ];
  for (const other of others) assertEquals(nameOf({ ...PROBLEM, ...other }) === nameOf(PROBLEM), false);
});

Deno.test("problemEvent() cuts what is longer than the API takes, never within a character", () => {
  const { note } = problemEvent({ ...PROBLEM, message: `a${"é".repeat(600)}` }, WHEN);
  assertEquals(note, `a${"é".repeat(511)}`);
});
