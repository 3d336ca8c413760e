import { assertEquals } from "@std/assert/equals";
import { SERVICE_CASES, toService } from "./testing/service_cases.ts";
import { type AdoptionRules, judgeAdoption, readCandidate } from "./judge_adoption.ts";

const LABEL = "service.kubernetes.io/service-proxy-name";
const RULES: AdoptionRules = {
  proxyName: "lightpath.cloud",
  excludedNamespaces: ["kube-system", "lightpath-system", "cert-manager"],
};

/** What is decided of a Service with one TCP port, and why. */
function judge({ metadata = {}, spec = {}, namespace }: {
  readonly metadata?: Record<string, unknown>;
  readonly spec?: Record<string, unknown>;
  readonly namespace?: string;
}): string {
  const raw = {
    metadata: { name: "echo", namespace: "default", ...metadata },
    spec: { ports: [{ port: 80 }], ...spec },
  };
  const service = readCandidate(raw, namespace);
  if ("unreadable" in service) return `unreadable: ${service.unreadable}`;
  const verdict = judgeAdoption(service, RULES);
  return `${verdict.kind === "label" ? "label" : verdict.left}: ${verdict.because}`;
}

Deno.test("judgeAdoption(): a Service with a port that Lightpath serves is labelled", () => {
  assertEquals(judge({}), "label: has 80/TCP");
  const ports = [{ port: 53, protocol: "UDP" }, { port: 53, protocol: "TCP" }, { port: 9, protocol: "SCTP" }];
  assertEquals(judge({ spec: { ports } }), "label: has 53/UDP, 53/TCP, 9/SCTP");
  assertEquals(judge({ spec: { ports: [{ port: 53, protocol: "UDP" }] } }), "label: has 53/UDP");
  for (const type of ["ClusterIP", "NodePort", "LoadBalancer"]) {
    assertEquals(judge({ spec: { type } }), "label: has 80/TCP", type);
  }
  assertEquals(judge({ metadata: { labels: { app: "echo" } } }), "label: has 80/TCP");
  assertEquals(judge({ metadata: { labels: null, annotations: null } }), "label: has 80/TCP");
  const annotations = { "lightpath.cloud/proxy": "enabled", "config.lightpath.cloud/num-retries": "1" };
  assertEquals(judge({ metadata: { annotations } }), "label: has 80/TCP");
});

Deno.test("judgeAdoption(): a label that is there stays, whatever it says", () => {
  const labelled = (value: string): string => judge({ metadata: { labels: { [LABEL]: value } } });
  assertEquals(labelled("lightpath.cloud"), `ours: has the label ${LABEL}: lightpath.cloud already`);
  assertEquals(labelled("cilium"), `foreign: is another proxy's by its label ${LABEL}: cilium`);
  assertEquals(labelled(""), `foreign: is another proxy's by its label ${LABEL}: ""`);
});

Deno.test("judgeAdoption(): who opts out and who is excluded", () => {
  assertEquals(
    judge({ metadata: { annotations: { "lightpath.cloud/proxy": "disabled" } } }),
    "opted-out: opts out by its annotation lightpath.cloud/proxy: disabled",
  );
  for (const namespace of RULES.excludedNamespaces) {
    const sentence = `excluded: is in the namespace ${namespace}, which is excluded (--exclude-namespaces)`;
    assertEquals(judge({ metadata: { namespace } }), sentence);
    // What the request says counts: an object need not name its namespace.
    assertEquals(judge({ metadata: { namespace: undefined }, namespace }), sentence);
  }
  assertEquals(
    judge({ metadata: { name: "kubernetes" } }),
    "excluded: is the API server's own, which the agents themselves may need to reach it",
  );
  assertEquals(judge({ metadata: { name: "kubernetes", namespace: "team" } }), "label: has 80/TCP");
});

Deno.test("judgeAdoption(): nothing to serve", () => {
  const headless =
    "nothing-to-serve: is headless (its clusterIP is None): clients connect to its pods themselves";
  assertEquals(judge({ spec: { clusterIP: "None" } }), headless);
  assertEquals(judge({ spec: { clusterIPs: ["None"] } }), headless);
  assertEquals(
    judge({ spec: { type: "ExternalName", externalName: "example.org" } }),
    "nothing-to-serve: is of type ExternalName, a name in DNS and no address",
  );
  assertEquals(
    judge({ metadata: { labels: { "service.kubernetes.io/headless": "" } } }),
    "nothing-to-serve: is headless by its label service.kubernetes.io/headless: clients connect to its pods themselves",
  );
  const none = "nothing-to-serve: has no port that Lightpath serves";
  assertEquals(judge({ spec: { ports: undefined } }), none);
  assertEquals(judge({ spec: { ports: [] } }), none);
  assertEquals(judge({ spec: { ports: [{ port: 80, protocol: "QUIC" }] } }), none);
  assertEquals(judge({ spec: { ports: [{ port: 0 }] } }), none);
  assertEquals(judge({ spec: { ports: [{ port: 1, protocol: "QUIC" }, { port: 2 }] } }), "label: has 2/TCP");
});

Deno.test("judgeAdoption(): the cases that API servers are asked too", () => {
  for (const one of SERVICE_CASES) {
    const verdict = judge(toService(one) as never);
    const labelled = one.proxyName === "lightpath.cloud";
    assertEquals(verdict.startsWith("label: "), labelled, `${one.name}: ${verdict}`);
  }
});

Deno.test("readCandidate(): a Service that has no name yet is read, and what is none says why", () => {
  assertEquals(judge({ metadata: { name: undefined, generateName: "echo-" } }), "label: has 80/TCP");
  assertEquals(readCandidate(undefined), { unreadable: "not an object with apiVersion, kind and metadata" });
  assertEquals(
    readCandidate({ apiVersion: "serving.knative.dev/v1", kind: "Service", metadata: { name: "a" } }),
    {
      unreadable: "Service of serving.knative.dev/v1 is not read",
    },
  );
  assertEquals(readCandidate({ apiVersion: "v1", kind: "Pod", metadata: { name: "a" } }), {
    unreadable: "kind Pod is not read",
  });
});
