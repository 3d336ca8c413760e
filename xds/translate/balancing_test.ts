import { assertEquals } from "@std/assert/equals";
import { settingsOf } from "../../agent/model/annotations/mod.ts";
import { CONFIG_PREFIX, type ServicePort } from "../../agent/model/mod.ts";
import { servicePort } from "../../agent/model/testing/service_ports.ts";
import { Cluster_LbPolicy } from "../../protos/mod.ts";
import { hashPolicy, lbPolicy } from "./balancing.ts";

function balanced(policy: string, hashOn?: string): ServicePort {
  const annotations: Record<string, string> = { [`${CONFIG_PREFIX}lb-policy`]: policy };
  if (hashOn !== undefined) annotations[`${CONFIG_PREFIX}hash-on`] = hashOn;
  const { settings: [settings] } = settingsOf(annotations, [{ name: "web", appProtocol: "http" }]);
  return servicePort(settings === undefined ? {} : { settings });
}

/** What is set of each hash policy. */
function hashed(servicePort: ServicePort): unknown {
  return hashPolicy(servicePort).map(({ filterState, header, cookie }) =>
    [filterState?.key, header?.headerName, cookie && { ...cookie }].filter((one) => one !== undefined)
  );
}

Deno.test("lbPolicy() of a Service that asks for nothing takes the endpoint with fewer requests", () => {
  assertEquals(lbPolicy(servicePort()), Cluster_LbPolicy.LEAST_REQUEST);
});

Deno.test("lbPolicy() is Envoy's policy of the same name", () => {
  for (const name of ["LEAST_REQUEST", "ROUND_ROBIN", "RANDOM", "MAGLEV", "RING_HASH"] as const) {
    assertEquals(lbPolicy(balanced(name)), Cluster_LbPolicy[name]);
  }
});

Deno.test("hashPolicy() of MAGLEV and RING_HASH is never empty, and that of others always", () => {
  for (const policy of ["LEAST_REQUEST", "ROUND_ROBIN", "RANDOM"]) {
    assertEquals(hashed(balanced(policy, "header:x-user")), []);
  }
  for (const policy of ["MAGLEV", "RING_HASH"]) {
    assertEquals(hashed(balanced(policy)), [["lightpath.source"]]);
    assertEquals(hashed(balanced(policy, "source-ip")), [["lightpath.source"]]);
    assertEquals(hashed(balanced(policy, "header:x-user")), [["x-user"]]);
    assertEquals(hashed(balanced(policy, "cookie:session")), [[
      { name: "session", ttl: undefined, path: "", attributes: [] },
    ]]);
  }
});

Deno.test("sessionAffinity beats an annotation: the client's address decides", () => {
  const keeps = { ...balanced("RANDOM", "header:x-user"), affinityTimeoutSeconds: 60 };
  assertEquals(lbPolicy(keeps), Cluster_LbPolicy.MAGLEV);
  assertEquals(hashed(keeps), [["lightpath.source"]]);
});
