import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { createLogger } from "../log.ts";
import { errorFromCause, errorFromStatus } from "./kube_api_error.ts";
import { watchServiceCIDRs } from "./service_cidrs.ts";
import { readServiceCIDRs } from "./wire/mod.ts";

const REQUEST = { verb: "list", kind: "ServiceCIDR", server: "https://lab", identity: "a test" } as const;

function refused(status: number, reason: string): Error {
  return errorFromStatus(REQUEST, { status, reason, message: "", retryAfterMs: 0 });
}

Deno.test("watchServiceCIDRs() tells what differs, goes on after faults, and says each once", async () => {
  const answers: (readonly string[] | Error)[] = [
    refused(404, "NotFound"),
    refused(403, "Forbidden"),
    refused(403, "Forbidden"),
    ["10.96.0.0/16", "fd00:96::/108"],
    ["fd00:96::/108", "10.96.0.0/16", "10.96.0.0/16"],
    errorFromCause(REQUEST, "gone"),
    ["10.96.0.0/16"],
    [],
  ];
  const told: (readonly string[])[] = [];
  const lines: string[] = [];
  const logger = createLogger({ level: "warn", format: "text", write: (line) => lines.push(line) });
  const end = new AbortController();
  const client = {
    serviceCIDRs(): Promise<readonly string[]> {
      const answer = answers.shift();
      if (answers.length === 0) end.abort();
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer ?? []);
    },
  };
  const onChange = (cidrs: readonly string[]): unknown => told.push(cidrs);
  await watchServiceCIDRs({ client, onChange, logger, intervalMs: 1, retryMs: 1 }, end.signal);
  assertEquals(told, [["10.96.0.0/16", "fd00:96::/108"], ["10.96.0.0/16"], []]);
  assertEquals(lines.length, 2);
  assert(
    lines[0]?.includes(
      '{apiGroups: [\\"networking.k8s.io\\"], resources: [\\"servicecidrs\\"], verbs: [\\"list\\"]}',
    ),
    lines[0],
  );
});

Deno.test("readServiceCIDRs() reads the ranges of all objects, and no list is none", () => {
  const read = (value: unknown): readonly string[] =>
    readServiceCIDRs(new TextEncoder().encode(JSON.stringify(value)));
  const items = [{ spec: { cidrs: ["10.96.0.0/16", "fd00:96::/108"] } }, { spec: {} }, 7, {
    spec: { cidrs: ["10.97.0.0/24", 1] },
  }];
  assertEquals(read({ kind: "ServiceCIDRList", items }), ["10.96.0.0/16", "fd00:96::/108", "10.97.0.0/24"]);
  assertEquals(read({ items: null }), []);
  let refusal = "";
  try {
    read({ kind: "Status" });
  } catch (error) {
    refusal = String(error);
  }
  assertEquals(refusal, "SyntaxError: the answer is not a Kubernetes list");
});
