import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { DEPARTURES, isAbout, type RowCarrier } from "./departures.ts";
import { objectsOf } from "./objects.ts";
import { PARITY_FILE, renderParity } from "./reference.ts";
import { rowsOf } from "./rows.ts";
import { SCENARIOS } from "./scenarios/mod.ts";

const rows = rowsOf(SCENARIOS);

Deno.test("every row has a name of its own", () => {
  assertEquals(rows.length, new Set(rows.map(({ name }) => name)).size);
});

Deno.test("no two Services share a name, an address or a NodePort", () => {
  const taken = SCENARIOS.flatMap((scenario, index) => {
    const [service] = objectsOf(scenario, index);
    const { clusterIPs, externalIPs = [], ports, healthCheckNodePort = 0 } = service!["spec"] as {
      clusterIPs: readonly string[];
      externalIPs?: readonly string[];
      ports: readonly { protocol: string; nodePort?: number }[];
      healthCheckNodePort?: number;
    };
    const nodePorts = ports.flatMap(({ protocol, nodePort }) =>
      nodePort === undefined ? [] : [`${protocol} ${nodePort}`]
    );
    return [
      scenario.name,
      ...clusterIPs,
      ...externalIPs,
      ...nodePorts,
      ...(healthCheckNodePort === 0 ? [] : [`TCP ${healthCheckNodePort}`]),
    ];
  });
  assertEquals(taken.length, new Set(taken).size);
});

Deno.test("the table looks at each protocol, family, kind of destination and place", () => {
  const seen = new Set<string>(
    rows.flatMap(({ speech, family, to, from }) => [speech, family, to.kind, from]),
  );
  const wanted = ["tcp", "http", "udp", "sctp", "IPv4", "IPv6"];
  const kinds = ["ClusterIP", "NodePort", "LoadBalancerIP", "ExternalIP", "HealthCheckNodePort"];
  const places = ["pod-a", "pod-b", "node-a", "node-b", "outside", "a1"];
  assertEquals([...wanted, ...kinds, ...places].filter((one) => !seen.has(one)), []);
});

Deno.test("a row asks where its server is said to listen", () => {
  const row = rows.find(({ name }) => name === "same-number: pod-a to ClusterIP, udp, IPv4");
  assertEquals([row?.port, row?.serverPorts.get("a1")], [80, 8081]);
});

Deno.test("every departure is about rows of the table", () => {
  for (const rule of DEPARTURES) {
    const unknown = (rule.scenarios ?? []).filter((name) => !SCENARIOS.some((one) => one.name === name));
    assertEquals(unknown, [], rule.reason);
    const carriers: readonly RowCarrier[] = ["envoy", "envoy-as-node", "kernel"];
    assert(rows.some((row) => carriers.some((carrier) => isAbout(rule, row, carrier))), rule.reason);
  }
});

Deno.test("docs/parity.md says what the table says (deno task parity --write)", async () => {
  assertEquals(await Deno.readTextFile(PARITY_FILE), renderParity(SCENARIOS));
});
