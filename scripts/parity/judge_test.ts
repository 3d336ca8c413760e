import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import type { Attempt } from "../lab/whoami.ts";
import type { Backend, Expectation, Row } from "./case.ts";
import { faultOf, questionOf } from "./judge.ts";

const CLIENT = "10.244.1.100";

function row(expect: Expectation): Row {
  return {
    name: "a row",
    scenario: "a",
    from: "pod-a",
    to: { kind: "ClusterIP" },
    speech: "tcp",
    family: "IPv4",
    host: "10.96.1.10",
    port: 80,
    serverPorts: new Map<Backend, number>([["a1", 8080], ["b1", 8080]]),
    expect,
  };
}

function answers(counts: Readonly<Record<string, number>>, source = CLIENT, port = 8080): Attempt[] {
  return Object.entries(counts).flatMap(([name, count]) =>
    Array.from({ length: count }, (): Attempt => ({
      outcome: "answered",
      ms: 1,
      body: `{"name": "${name}", "source": "${source}", "port": ${port}}\n`,
    }))
  );
}

function answered(
  spread: "any" | "even" | "affine" | "forgetful",
  source: "client" | "node-a" = "client",
): Row {
  return row({ kind: "answered", by: ["a1", "b1"], source, spread });
}

Deno.test("answers have to come from all backends and no others", () => {
  assertEquals(faultOf(answered("any"), answers({ a1: 31, b1: 1 })), undefined);
  assertEquals(faultOf(answered("any"), answers({ a1: 32 })), "not any: a1 x 32");
  assertMatch(faultOf(answered("any"), answers({ a1: 2, b2: 1 })) ?? "", /saw a1 x 2, b2 x 1$/);
  const timeout: Attempt = { outcome: "timeout", ms: 5_000 };
  assertMatch(faultOf(answered("any"), [...answers({ a1: 1 }), timeout]) ?? "", /timeout x 1$/);
});

Deno.test("evenness allows for chance, not for a preference", () => {
  const { times } = questionOf(answered("even"));
  assertEquals(times, 120);
  assertEquals(faultOf(answered("even"), answers({ a1: 75, b1: 45 })), undefined);
  assertEquals(faultOf(answered("even"), answers({ a1: 95, b1: 25 })), "not even: a1 x 95, b1 x 25");
});

Deno.test("affinity is one backend, forgetting is more than one", () => {
  assertEquals(faultOf(answered("affine"), answers({ b1: 20 })), undefined);
  assertEquals(faultOf(answered("affine"), answers({ a1: 1, b1: 19 })), "not affine: a1 x 1, b1 x 19");
  assertEquals(faultOf(answered("forgetful"), answers({ a1: 1, b1: 9 })), undefined);
  assertEquals(faultOf(answered("forgetful"), answers({ a1: 10 })), "not forgetful: a1 x 10");
});

Deno.test("the address and port that a backend saw have to be right", () => {
  const both = { a1: 1, b1: 1 };
  assertMatch(faultOf(answered("any"), answers(both, "10.244.1.1")) ?? "", /^asked from 10\.244\.1\.1 as a1/);
  assertEquals(faultOf(answered("any", "node-a"), answers(both, "10.244.1.1")), undefined);
  assertEquals(faultOf(answered("any", "node-a"), answers(both, "192.168.77.2")), undefined);
  assertMatch(faultOf(answered("any", "node-a"), answers(both)) ?? "", /^asked from 10\.244\.1\.100/);
  assertEquals(faultOf(answered("any"), answers(both, CLIENT, 8081)), "a1 was asked at its port 8081");
});

Deno.test("refused is at once, dropped is silence", () => {
  const refused = row({ kind: "refused" });
  assertEquals(faultOf(refused, [{ outcome: "refused", ms: 1_010 }]), undefined);
  assertEquals(
    faultOf(refused, [{ outcome: "refused", ms: 3_010 }]),
    "wanted refused at once, saw refused late x 1",
  );
  const dropped = row({ kind: "dropped" });
  assertEquals(faultOf(dropped, [{ outcome: "timeout", ms: 1_500 }]), undefined);
  assertEquals(faultOf(dropped, [{ outcome: "unreachable", ms: 1 }]), "wanted dropped, saw unreachable x 1");
});

Deno.test("a health check has a status and a count", () => {
  const health = row({ kind: "health", status: 503, localEndpoints: 0 });
  const body = '{"service": {"namespace": "default", "name": "x"}, "localEndpoints": 0}';
  assertEquals(faultOf(health, [{ outcome: "answered", ms: 1, status: 503, body }]), undefined);
  assertMatch(faultOf(health, [{ outcome: "answered", ms: 1, status: 200, body }]) ?? "", /^wanted/);
});
