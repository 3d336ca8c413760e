import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { containerEnv, type ContainerSpec, expand, nodesFor, type Pod, portNumber } from "./pod_spec.ts";

const PLACE = {
  nodeName: "node-a",
  hostIPs: { ipv4: "192.168.77.2", ipv6: "fd00:192:168:77::2" },
  podIPs: { ipv4: "10.244.1.10", ipv6: "fd00:10:244:1::a" },
};

function pod(spec: Partial<Pod["spec"]> = {}, labels: Readonly<Record<string, string>> = {}): Pod {
  const metadata = { name: "echo-1", namespace: "default", uid: "1", labels };
  return { metadata, spec: { containers: [], ...spec } };
}

function env(container: Partial<ContainerSpec>, of = pod()): Readonly<Record<string, string>> {
  return containerEnv(of, { name: "one", image: "any", ...container }, {
    place: PLACE,
    configMaps: new Map([["settings", { A: "from the map", B: "b" }]]),
    base: { PATH: "/bin", A: "from the image" },
  });
}

Deno.test("a container's environment: its image's, then ConfigMaps, then its own, which may refer to those before", () => {
  const own = [{ name: "B", value: "$(A), and more" }, { name: "C", value: "$(NOBODY) $$(A)" }];
  assertEquals(env({ envFrom: [{ configMapRef: { name: "settings" } }], env: own }), {
    PATH: "/bin",
    A: "from the map",
    B: "from the map, and more",
    C: "$(NOBODY) $(A)",
  });
  assertThrows(
    () => env({ envFrom: [{ configMapRef: { name: "other" } }] }),
    TypeError,
    "there is no ConfigMap other",
  );
});

Deno.test("a container is told of its pod by fields", () => {
  const field = (fieldPath: string, of?: Pod): string | undefined =>
    env({ env: [{ name: "X", valueFrom: { fieldRef: { fieldPath } } }] }, of)["X"];
  assertEquals(field("metadata.name"), "echo-1");
  assertEquals(field("status.hostIPs"), "192.168.77.2,fd00:192:168:77::2");
  assertEquals(field("status.podIPs"), "10.244.1.10,fd00:10:244:1::a");
  const label = "metadata.labels['topology.kubernetes.io/zone']";
  assertEquals(field(label), "");
  assertEquals(field(label, pod({}, { "topology.kubernetes.io/zone": "zone-a" })), "zone-a");
  assertThrows(() => field("spec.hostname"), TypeError, "X is taken from spec.hostname");
});

Deno.test("expand() leaves what it does not know", () => {
  assertEquals(expand("--name=$(NAME)-$(OTHER)-$NAME", { NAME: "a" }), "--name=a-$(OTHER)-$NAME");
});

Deno.test("a port of a probe is a number or a port's name", () => {
  const container = { name: "one", image: "any", ports: [{ name: "web", containerPort: 8080 }] };
  assertEquals([portNumber(80, container), portNumber("web", container)], [80, 8080]);
  assertThrows(() => portNumber("grpc", container), TypeError, "the container one has no port grpc");
});

Deno.test("a pod is put where its selector and the DaemonSet controller say", () => {
  const nodes = ["node-a", "node-b"].map((name) => ({ name, labels: { "kubernetes.io/hostname": name } }));
  const only = (name: string): Pod["spec"]["affinity"] => {
    const nodeSelectorTerms = [{ matchFields: [{ key: "metadata.name", values: [name] }] }];
    return { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } } };
  };
  assertEquals(nodesFor(pod(), nodes), ["node-a", "node-b"]);
  assertEquals(nodesFor(pod({ nodeSelector: { "kubernetes.io/hostname": "node-b" } }), nodes), ["node-b"]);
  assertEquals(nodesFor(pod({ affinity: only("node-a") ?? {} }), nodes), ["node-a"]);
  assertEquals(nodesFor(pod({ nodeSelector: { disk: "ssd" } }), nodes), []);
});
