import { assertEquals } from "@std/assert/equals";
import type { Service } from "../kube/objects.ts";
import { isServed, whyNotServed } from "./selection.ts";
import { service } from "./testing/objects.ts";

const LABEL = "service.kubernetes.io/service-proxy-name";

/** Why a Service is not served by an agent with that `--service-proxy-name`. */
function why(overrides: Partial<Service>, serviceProxyName = ""): string | undefined {
  const selection = { serviceProxyName, families: ["IPv4", "IPv6"] } as const;
  const reason = whyNotServed(service(overrides), selection);
  assertEquals(isServed(service(overrides), selection), reason === undefined);
  return reason;
}

Deno.test("whyNotServed(): what is served has no reason", () => {
  assertEquals(why({}), undefined);
  assertEquals(why({ proxyName: "lightpath.cloud" }, "lightpath.cloud"), undefined);
  assertEquals(why({ annotations: { "lightpath.cloud/proxy": "enabled" } }), undefined);
});

Deno.test("whyNotServed(): the first thing that keeps a Service from being served", () => {
  assertEquals(
    why({ type: "ExternalName", clusterIPs: [] }),
    "is of type ExternalName, a name in DNS and no address",
  );
  assertEquals(
    why({ clusterIPs: ["None"] }),
    "is headless (its clusterIP is None): clients connect to its pods themselves",
  );
  assertEquals(
    why({ headlessLabel: true }),
    "is headless by its label service.kubernetes.io/headless: clients connect to its pods themselves",
  );
  assertEquals(why({ clusterIPs: [] }), "has no ClusterIP yet");
  assertEquals(
    why({ annotations: { "lightpath.cloud/proxy": "disabled" } }),
    "opts out by its annotation lightpath.cloud/proxy: disabled",
  );
});

Deno.test("whyNotServed(): whose it is by its label", () => {
  assertEquals(
    why({ proxyName: "cilium" }),
    `is another proxy's by its label ${LABEL}: cilium; this agent serves those without that label`,
  );
  assertEquals(
    why({ proxyName: "cilium" }, "lightpath.cloud"),
    `is another proxy's by its label ${LABEL}: cilium; this agent serves those labelled "lightpath.cloud"`,
  );
  assertEquals(
    why({}, "lightpath.cloud"),
    `has no label ${LABEL}, and this agent serves only those labelled "lightpath.cloud"`,
  );
});
