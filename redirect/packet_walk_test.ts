import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { diffPlans } from "./diff.ts";
import { createLayout } from "./layout.ts";
import { renderReplacement } from "./nft_script.ts";
import { planNode, planServicePort } from "./plan.ts";
import { FakeNft } from "./testing/fake_nft.ts";
import { withEndpoints, withKind } from "./testing/endpoints.ts";
import { type Packet, walkPacket } from "./testing/packet_walk.ts";
import {
  BALANCED_SOCKET_PRIORITY,
  DEFAULT_MARK_MASK,
  ENVOY_SOCKET_PRIORITY,
  marksOf,
  MASQUERADED_SOCKET_PRIORITY,
  type NodeAddresses,
} from "../agent/model/mod.ts";
import { servicePort } from "../agent/model/testing/service_ports.ts";

const DNS_ENDPOINTS = ["10.244.0.1", "10.244.0.2", "10.244.0.3", "10.244.0.4", "10.244.0.5"];
const PORTS = [
  servicePort({
    name: "web",
    vips: ["10.96.0.10 80", "fd00::10 80"],
    nodePort: 30080,
    families: ["IPv4", "IPv6"],
  }),
  servicePort({ name: "database", appProtocol: "tcp", vips: ["10.96.0.20 5432"] }),
  servicePort({ name: "empty", endpoints: [], vips: ["10.96.0.30 80", "fd00::30 80"], nodePort: 30090 }),
  withEndpoints(
    servicePort({ name: "dns", protocol: "UDP", vips: ["10.96.0.53 53", "fd00::53 53"], nodePort: 30053 }),
    DNS_ENDPOINTS.map((address) => `${address} 5353`),
    DNS_ENDPOINTS.map((address) => `${address} 5353`),
  ),
  {
    ...withKind(
      servicePort({ name: "mail", appProtocol: "tcp", vips: ["203.0.113.25 25", "2001:db8:1::25 25"] }),
      "LoadBalancerIP",
    ),
    loadBalancerSourceRanges: { IPv4: ["198.51.100.0/24", "192.0.2.1/32"], IPv6: [] },
  },
  withEndpoints(
    servicePort({
      name: "local",
      protocol: "SCTP",
      vips: ["10.96.0.77 77"],
      nodePort: 30077,
      externalTrafficPolicy: "Local",
    }),
    ["10.244.1.5 77"],
  ),
];
/** The second of a family, to see a set of them. */
const CLUSTER_CIDRS = { IPv4: ["10.244.0.0/16", "10.245.0.0/16"], IPv6: ["fd00:244::/48"] };
const NODE: NodeAddresses = { IPv4: ["192.168.0.2", "10.0.0.1"], IPv6: ["2001:db8::2"] };

async function walker(
  nodeAddresses: NodeAddresses,
  envoyReady = true,
  clusterCIDRs = CLUSTER_CIDRS,
): Promise<(packet: Packet) => string> {
  const nft = new FakeNft();
  const serviceCIDRs = { IPv4: ["10.96.0.0/16"], IPv6: [] };
  const plan = [
    ...planNode({ addresses: nodeAddresses, envoyReady, serviceCIDRs }),
    ...PORTS.flatMap(planServicePort),
  ];
  const layout = createLayout({ tcp: 1666, http: 1667 }, { clusterCIDRs });
  await nft.apply(renderReplacement(layout, diffPlans([], plan).add));
  return (packet) => walkPacket(nft.table, packet);
}

for (const from of ["pod", "host"] as const) {
  Deno.test(`a connection from a ${from} to what the kernel carries goes to an endpoint that is drawn`, async () => {
    const walk = await walker(NODE);
    const dns = { from, destination: "10.96.0.53", port: 53, protocol: "udp" } as const;
    const places = new Set<string>();
    for (let draw = 0; draw < 6; draw++) places.add(walk({ ...dns, draws: [draw] }));
    assertEquals([...places].sort(), DNS_ENDPOINTS.map((address) => `dnat ${address}:5353`));
    // Of the six places of the class one is empty: the next number counts.
    assertEquals(walk({ ...dns, draws: [5, 5, 2] }), walk({ ...dns, draws: [2] }));
    // When none finds an endpoint, one is drawn among four.
    assertEquals(walk({ ...dns, draws: [5, 5, 5, 5, 5, 3] }), walk({ ...dns, draws: [3] }));
    assertEquals(walk({ ...dns, destination: "fd00::53" }), "unreachable");
    assertEquals(
      walk({ from, destination: "10.0.0.1", port: 30053, protocol: "udp", local: true, draws: [2] }),
      `${walk({ ...dns, draws: [2] })} masquerade`,
    );
  });

  Deno.test(`while Envoy is not ready a connection from a ${from} goes to an endpoint`, async () => {
    const walk = await walker(NODE, false);
    assertEquals(walk({ from, destination: "10.96.0.10", port: 80 }), "dnat 10.244.0.5:8080");
    assertEquals(walk({ from, destination: "fd00::10", port: 80 }), "dnat fd00:244::5:8080");
    assertEquals(
      walk({ from, destination: "10.0.0.1", port: 30080, local: true }),
      "dnat 10.244.0.5:8080 masquerade",
    );
    assertEquals(walk({ from, destination: "10.96.0.30", port: 80 }), "reset");
  });

  Deno.test(`a connection from a ${from} takes the path of its VIP`, async () => {
    const walk = await walker(NODE);
    assertEquals(walk({ from, destination: "10.96.0.10", port: 80 }), "dnat 192.168.0.2:1667");
    assertEquals(walk({ from, destination: "fd00::10", port: 80 }), "dnat 2001:db8::2:1667");
    assertEquals(walk({ from, destination: "10.96.0.20", port: 5432 }), "dnat 192.168.0.2:1666");
    assertEquals(walk({ from, destination: "10.96.0.30", port: 80 }), "reset");
    assertEquals(walk({ from, destination: "fd00::30", port: 80 }), "reset");
  });

  Deno.test(`a connection from a ${from} to what nobody serves is left alone`, async () => {
    const walk = await walker(NODE);
    assertEquals(walk({ from, destination: "203.0.113.25", port: 81, source: "198.51.100.7" }), "accept");
    assertEquals(walk({ from, destination: "203.0.113.26", port: 25 }), "accept");
    assertEquals(walk({ from, destination: "10.244.0.5", port: 80 }), "accept");
  });

  Deno.test(`a connection from a ${from} to a port that a ClusterIP does not have is refused, to nobody's dropped`, async () => {
    const walk = await walker(NODE);
    assertEquals(walk({ from, destination: "10.96.0.10", port: 81 }), "reset");
    assertEquals(walk({ from, destination: "10.96.0.10", port: 80, protocol: "udp" }), "unreachable");
    assertEquals(walk({ from, destination: "fd00::10", port: 81 }), "reset");
    assertEquals(walk({ from, destination: "10.96.200.200", port: 80 }), "drop");
    // What began when there was such a port goes on.
    assertEquals(walk({ from, destination: "10.96.0.10", port: 81, state: "established" }), "accept");
  });

  Deno.test(`a NodePort answers a ${from} on this node's addresses and families only`, async () => {
    const walk = await walker(NODE);
    assertEquals(walk({ from, destination: "10.0.0.1", port: 30080, local: true }), "dnat 192.168.0.2:1667");
    assertEquals(
      walk({ from, destination: "2001:db8::2", port: 30080, local: true }),
      "dnat 2001:db8::2:1667",
    );
    assertEquals(walk({ from, destination: "10.0.0.1", port: 30090, local: true }), "reset");
    assertEquals(walk({ from, destination: "2001:db8::2", port: 30090, local: true }), "accept");
    assertEquals(walk({ from, destination: "127.0.0.1", port: 30080, local: true }), "accept");
    assertEquals(walk({ from, destination: "192.168.0.3", port: 30080 }), "accept");
  });
}

Deno.test("without a known node address connections are redirected by the interface's own", async () => {
  const walk = await walker({ IPv4: [], IPv6: [] });
  assertEquals(walk({ from: "pod", destination: "10.96.0.10", port: 80 }), "redirect :1667");
  assertEquals(walk({ from: "host", destination: "10.96.0.20", port: 5432 }), "redirect :1666");
});

Deno.test("whoever connects to Envoy's ports directly is refused", async () => {
  const walk = await walker(NODE);
  for (const port of [1666, 1667]) {
    for (const state of ["new", "established", "invalid", "untracked"] as const) {
      assertEquals(
        walk({ from: "pod", destination: "192.168.0.2", port, local: true, state }),
        "reset",
        state,
      );
    }
  }
  assertEquals(walk({ from: "pod", destination: "192.168.0.2", port: 1668, local: true }), "accept");
});

Deno.test("a running connection is not refused when the last endpoint goes", async () => {
  const walk = await walker(NODE);
  assertEquals(
    walk({ from: "pod", destination: "10.96.0.30", port: 80, state: "established" }),
    "accept",
  );
});

Deno.test("Envoy's own connections to endpoints are not sent to Envoy again", async () => {
  const walk = await walker(NODE);
  const toVIP = { from: "host", destination: "203.0.113.25", port: 25, source: "198.51.100.7" } as const;
  assertEquals(walk({ ...toVIP, socketPriority: ENVOY_SOCKET_PRIORITY }), "accept");
  assertEquals(walk({ ...toVIP, socketPriority: ENVOY_SOCKET_PRIORITY + 1 }), "dnat 192.168.0.2:1666");
  // A ClusterIP is nobody's own address.
  const toClusterIP = { from: "host", destination: "10.96.0.10", port: 80 } as const;
  assertEquals(walk({ ...toClusterIP, socketPriority: ENVOY_SOCKET_PRIORITY }), "reset");
  assertEquals(walk({ ...toVIP, destination: "10.96.0.30", socketPriority: ENVOY_SOCKET_PRIORITY }), "reset");
});

Deno.test("an endpoint of this node that is given itself sees the node as the source", async () => {
  const walk = await walker(NODE);
  const dns = { from: "pod", destination: "10.96.0.53", port: 53, protocol: "udp" } as const;
  const [, itself = ""] = /^dnat (.*):/.exec(walk({ ...dns, draws: [0] })) ?? [];
  assertEquals(walk({ ...dns, source: itself, draws: [0] }), `dnat ${itself}:5353 masquerade`);
  assertEquals(walk({ ...dns, source: itself, draws: [1] }).endsWith("masquerade"), false);
});

Deno.test("what Envoy sends in a client's name leaves with the client's address, or with this node's", async () => {
  const walk = await walker(NODE);
  const { envoy } = marksOf(DEFAULT_MARK_MASK);
  const upstream = {
    from: "host",
    source: "10.244.9.9",
    destination: "10.244.1.5",
    port: 8080,
    mark: envoy,
  } as const;
  assertEquals(walk({ ...upstream, socketPriority: ENVOY_SOCKET_PRIORITY }), "accept");
  assertEquals(walk({ ...upstream, socketPriority: MASQUERADED_SOCKET_PRIORITY }), "accept masquerade");
  // Others may use the same priority.
  assertEquals(walk({ ...upstream, mark: 0, socketPriority: MASQUERADED_SOCKET_PRIORITY }), "accept");
});

Deno.test("of what Envoy sends to a Service in a client's name the kernel chooses the endpoint", async () => {
  const { envoy } = marksOf(DEFAULT_MARK_MASK);
  const upstream = {
    from: "host",
    source: "10.244.9.9",
    destination: "10.96.0.20",
    port: 5432,
    socketPriority: BALANCED_SOCKET_PRIORITY,
  } as const;
  const walk = await walker(NODE);
  assertEquals(walk({ ...upstream, mark: envoy }), "dnat 10.244.0.5:8080");
  assertEquals(
    walk({ ...upstream, destination: "192.168.0.2", port: 30080, mark: envoy }),
    "dnat 10.244.0.5:8080 masquerade",
  );
  // Without a client's name it would come back to Envoy, and so on: nobody translates it, and so it is refused.
  assertEquals(walk(upstream), "reset");
});

Deno.test("a LoadBalancer's address is for its source ranges alone", async () => {
  const walk = await walker(NODE);
  const mail = { from: "pod", port: 25 } as const;
  for (
    const [source, destination, outcome] of [
      ["198.51.100.7", "203.0.113.25", "dnat 192.168.0.2:1666"],
      ["192.0.2.1", "203.0.113.25", "dnat 192.168.0.2:1666"],
      ["192.0.2.2", "203.0.113.25", "drop"],
      ["2001:db8::7", "2001:db8:1::25", "drop"],
    ] as const
  ) {
    assertEquals(walk({ ...mail, source, destination }), outcome, source);
  }
});

Deno.test("what has endpoints on other nodes only is dropped for the outside, and served to pods and the node", async () => {
  const walk = await walker(NODE);
  const local = { destination: "10.0.0.1", port: 30077, protocol: "sctp", local: true } as const;
  for (const source of ["198.51.100.7", "192.168.0.2"]) {
    assertEquals(walk({ ...local, from: "pod", source }), "drop", source);
  }
  for (const source of ["10.244.9.9", "10.245.9.9"]) {
    assertEquals(walk({ ...local, from: "pod", source }), "dnat 10.244.1.5:77", source);
  }
  assertEquals(walk({ ...local, from: "host", source: "192.168.0.2" }), "dnat 10.244.1.5:77 masquerade");
  assertEquals(
    walk({ from: "pod", destination: "10.96.0.77", port: 77, protocol: "sctp" }),
    "dnat 10.244.1.5:77",
  );
});

Deno.test("who comes to a ClusterIP from outside of the cluster is masqueraded, if it is known who does", async () => {
  for (
    const [clusterCIDRs, source, masquerade] of [
      [CLUSTER_CIDRS, "198.51.100.7", " masquerade"],
      [CLUSTER_CIDRS, "10.244.9.9", ""],
      [{ IPv4: [], IPv6: ["fd00:244::/48"] }, "198.51.100.7", ""],
    ] as const
  ) {
    const walk = await walker(NODE, true, { IPv4: [...clusterCIDRs.IPv4], IPv6: [...clusterCIDRs.IPv6] });
    const dns = { from: "pod", destination: "10.96.0.53", port: 53, protocol: "udp", source } as const;
    assertEquals(walk(dns), `dnat 10.244.0.2:5353${masquerade}`, source);
    // Where it is not known who is a pod, everybody but this node is of the outside.
    const local = { destination: "10.0.0.1", port: 30077, protocol: "sctp", local: true } as const;
    const served = clusterCIDRs.IPv4.length > 0 && source === "10.244.9.9";
    assertEquals(walk({ ...local, from: "pod", source }), served ? "dnat 10.244.1.5:77" : "drop");
    assertEquals(walk({ ...local, from: "host", source: "10.0.0.1" }), "dnat 10.244.1.5:77 masquerade");
  }
});

Deno.test("who was sent to an Envoy that has just gone is dropped; who is connected already is not", async () => {
  const walk = await walker(NODE);
  const toVIP = { from: "pod", destination: "10.96.0.10", port: 80, envoyListens: false } as const;
  assertEquals(walk(toVIP), "drop");
  assertEquals(walk({ ...toVIP, destination: "192.168.0.2", port: 1667, local: true }), "reset");
});

Deno.test("a port of which conntrack still knows a connection is not refused where Envoy has gone", async () => {
  const walk = await walker(NODE);
  const reused: Packet = {
    from: "pod",
    destination: "192.168.0.2",
    port: 1667,
    local: true,
    state: "established",
    translated: true,
  };
  assertEquals(walk({ ...reused, connects: true, envoyListens: false }), "drop");
  assertEquals(walk({ ...reused, connects: true, envoyListens: true }), "accept");
  // What was under way the kernel resets.
  assertEquals(walk({ ...reused, envoyListens: false }), "accept");
});

Deno.test("a client keeps its endpoint, as long as there is that endpoint", async () => {
  const sticky = servicePort({
    name: "sticky",
    protocol: "UDP",
    vips: ["10.96.0.88 88"],
    affinityTimeoutSeconds: 60,
  });
  const nft = new FakeNft();
  const table = async (...endpoints: readonly string[]): Promise<void> => {
    const clients = nft.table?.containers.get("clients-4")?.elements ?? new Map<string, string>();
    const plan = [
      ...planNode({ addresses: NODE, envoyReady: true }),
      ...planServicePort(withEndpoints(sticky, endpoints)),
    ];
    await nft.apply(renderReplacement(createLayout({ tcp: 1666, http: 1667 }), diffPlans([], plan).add));
    for (const [client, id] of clients) nft.table?.containers.get("clients-4")?.elements.set(client, id);
  };
  await table(...DNS_ENDPOINTS);
  const walk = (source: string, draw: number): string =>
    walkPacket(nft.table, {
      from: "pod",
      source,
      destination: "10.96.0.88",
      port: 88,
      protocol: "udp",
      draws: [draw],
    });
  const given = walk("10.244.9.1", 0);
  for (const draw of [1, 2, 3, 4]) assertEquals(walk("10.244.9.1", draw), given);
  assert(walk("10.244.9.2", 1) !== given);
  const left = DNS_ENDPOINTS.filter((address) => !given.includes(`${address}:`));
  await table(...left);
  const next = walk("10.244.9.1", 0);
  assert(next !== given && next.startsWith("dnat "));
  for (const draw of [1, 2, 3]) assertEquals(walk("10.244.9.1", draw), next);
});
