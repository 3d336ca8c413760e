/**
 * Who sees whose address, and who is not let in, in a real kernel.
 * @module
 */

import { assertEquals } from "@std/assert/equals";
import type { Protocol, ServicePort } from "../agent/model/mod.ts";
import { servicePort, type ServicePortSketch } from "../agent/model/testing/service_ports.ts";
import type { Namespace } from "../scripts/lab/mod.ts";
import { withEndpoints, withKind } from "./testing/endpoints.ts";
import { type LabProtocol, type NodeLab, testOverBackends } from "./testing/node_lab.ts";
import { changes } from "./testing/random_ports.ts";

type CreateLab = Parameters<Parameters<typeof testOverBackends>[1]>[0];

function testInLab(name: string, fn: (create: CreateLab) => Promise<void>): void {
  testOverBackends(`sources: ${name}`, fn);
}

const POD = ["10.244.0.5", "fd00:244::5"] as const;
const OUTSIDE = ["192.168.77.1", "2001:db8:77::1"] as const;

/** A port of which the pod is the endpoint, one of this node. */
function port(protocol: Protocol, sketch: ServicePortSketch = {}): ServicePort {
  const name = `echo-${protocol.toLowerCase()}`;
  const vips = ["10.96.0.40 80", "fd00:96::40 80"];
  return withEndpoints(
    servicePort({
      name,
      protocol,
      vips,
      nodePort: 30040,
      families: ["IPv4", "IPv6"],
      carrier: "kernel",
      ...sketch,
    }),
    POD,
    POD,
  );
}

/** Every protocol as such a port. */
function ports(sketch: ServicePortSketch = {}): ServicePort[] {
  return (["TCP", "UDP", "SCTP"] as const).map((protocol) => port(protocol, sketch));
}

const PROTOCOLS = ["tcp", "udp", "sctp"] as const;

/** A lab whose pod answers, and whose neighbour knows the way to VIPs. */
async function labWithPod(create: CreateLab): Promise<NodeLab> {
  const lab = await create();
  // Where rules of iptables refuse, the client was sent a redirect first, which counts towards the same limit.
  await lab.node.sysctl({ "net/ipv4/icmp_ratelimit": "0" });
  for (const protocol of PROTOCOLS) await lab.serve(lab.pod, { protocol, port: 8080, addresses: POD });
  await lab.outside.ip([
    "route add 10.96.0.0/16 via 192.168.77.2",
    "route add fd00:96::/64 via 2001:db8:77::2",
  ]);
  return lab;
}

/** The one answer to a question, without its first words. */
async function sourceSeen(
  lab: NodeLab,
  from: Namespace,
  to: {
    readonly protocol: LabProtocol;
    readonly host: string;
    readonly port: number;
    readonly source?: string;
  },
): Promise<string> {
  return [...(await lab.ask(from, to)).keys()].join().replace(/^\S+ asked by /, "");
}

testInLab(
  "a pod's own address is seen at a ClusterIP, the node's at NodePorts and addresses from outside",
  async (create) => {
    await using lab = await labWithPod(create);
    await using agent = await lab.agent(ports());
    for (const protocol of PROTOCOLS) {
      for (
        const [host, source] of [["10.96.0.40", "10.244.1.5"], ["fd00:96::40", "fd00:244:1::5"]] as const
      ) {
        assertEquals(await sourceSeen(lab, lab.barePod, { protocol, host, port: 80 }), source, protocol);
      }
      for (
        const [host, source] of [["192.168.77.2", "10.244.0.1"], ["2001:db8:77::2", "fd00:244::1"]] as const
      ) {
        assertEquals(await sourceSeen(lab, lab.outside, { protocol, host, port: 30040 }), source, protocol);
      }
    }
    for (const kind of ["ExternalIP", "LoadBalancerIP"] as const) {
      const external = withKind(port("UDP"), kind);
      await agent.update([external], changes([port("UDP"), external]));
      for (const [host, source] of [["10.96.0.40", "10.244.0.1"], ["fd00:96::40", "fd00:244::1"]] as const) {
        assertEquals(await sourceSeen(lab, lab.outside, { protocol: "udp", host, port: 80 }), source, kind);
      }
    }
  },
);

testInLab("with the policy Local the client's address is seen from outside", async (create) => {
  await using lab = await labWithPod(create);
  const external = ports({ externalTrafficPolicy: "Local" }).map((one) => withKind(one, "ExternalIP"));
  await using _agent = await lab.agent(external);
  for (const protocol of PROTOCOLS) {
    for (
      const [host, number, source] of [
        ["192.168.77.2", 30040, OUTSIDE[0]],
        ["2001:db8:77::2", 30040, OUTSIDE[1]],
        ["10.96.0.40", 80, OUTSIDE[0]],
        ["fd00:96::40", 80, OUTSIDE[1]],
      ] as const
    ) {
      assertEquals(
        await sourceSeen(lab, lab.outside, { protocol, host, port: number }),
        source,
        `${protocol} ${host}`,
      );
    }
  }
});

testInLab("an endpoint that is given itself is answered", async (create) => {
  await using lab = await labWithPod(create);
  await using agent = await lab.agent(ports());
  for (const protocol of PROTOCOLS) {
    for (
      const [host, number, source] of [
        ["10.96.0.40", 80, "10.244.0.1"],
        ["fd00:96::40", 80, "fd00:244::1"],
        ["192.168.77.2", 30040, "10.244.0.1"],
      ] as const
    ) {
      assertEquals(
        await sourceSeen(lab, lab.pod, { protocol, host, port: number }),
        source,
        `${protocol} ${host}`,
      );
    }
  }
  // That one ServicePort goes takes nothing from the others it shared the endpoint with.
  const [tcp, udp, sctp] = ports();
  if (udp === undefined || tcp === undefined || sctp === undefined) throw new TypeError("three ports");
  await agent.update([tcp, sctp], changes([udp, undefined]));
  assertEquals(
    await sourceSeen(lab, lab.pod, { protocol: "tcp", host: "10.96.0.40", port: 80 }),
    "10.244.0.1",
  );
});

testInLab(
  "without endpoints: refused at once, UDP by ICMP; without those of this node: dropped",
  async (create) => {
    await using lab = await labWithPod(create);
    const [tcp, udp] = [port("TCP"), port("UDP")];
    const empty = [tcp, udp].map((one) => withEndpoints(one, []));
    await using agent = await lab.agent(empty);
    const destinations = [["10.96.0.40", 80], ["fd00:96::40", 80], ["192.168.77.2", 30040]] as const;
    const answersOf = async (from: Namespace, protocol: LabProtocol): Promise<string[]> => {
      const answers = await Promise.all(
        destinations.map(([host, number]) => lab.ask(from, { protocol, host, port: number })),
      );
      return answers.map((one) => [...one.keys()].join());
    };
    // A program of the node itself is told by its own kernel, unless it speaks TCP.
    const told = (from: Namespace, protocol: LabProtocol, otherwise: string): string =>
      from === lab.node && protocol === "udp" ? "not permitted" : otherwise;
    for (const from of [lab.pod, lab.barePod, lab.outside, lab.node]) {
      for (const protocol of ["tcp", "udp"] as const) {
        assertEquals(
          await answersOf(from, protocol),
          Array(3).fill(told(from, protocol, "refused")),
          `${from.name} ${protocol}`,
        );
      }
    }
    // Its endpoints are on other nodes.
    const elsewhere = [tcp, udp].map((one) =>
      withEndpoints({ ...one, internalTrafficPolicy: "Local", externalTrafficPolicy: "Local" }, [
        "10.244.9.9",
        "fd00:244:9::9",
      ])
    );
    await agent.update(elsewhere, changes([empty[0], elsewhere[0]], [empty[1], elsewhere[1]]));
    for (const from of [lab.barePod, lab.outside, lab.node]) {
      for (const protocol of ["tcp", "udp"] as const) {
        // The node itself is given those on other nodes at the NodePort, here one that does not answer.
        const silent = Array<string>(2).fill(told(from, protocol, "silence"));
        assertEquals(await answersOf(from, protocol), [...silent, "silence"], `${from.name} ${protocol}`);
      }
    }
  },
);

testInLab(
  "where an external IP is the node's and its port another Service's NodePort, the one that has endpoints answers",
  async (create) => {
    await using lab = await labWithPod(create);
    const byNodePort = port("UDP", { vips: ["10.96.0.40 80"] });
    const vips = ["192.168.77.2 30040", "2001:db8:77::2 30040"];
    const byAddress = withKind(port("UDP", { name: "external", vips, nodePort: 0 }), "ExternalIP");
    const without = (one: ServicePort): ServicePort => withEndpoints(one, []);
    await using agent = await lab.agent([byAddress, without(byNodePort)]);
    const answers = async (): Promise<string[]> =>
      await Promise.all(["192.168.77.2", "2001:db8:77::2"].map(async (host) => {
        const [answer = ""] = (await lab.ask(lab.outside, { protocol: "udp", host, port: 30040 })).keys();
        return answer.replace(/ asked by .*/, "");
      }));
    const served = ["10.244.0.5", "fd00:244::5"];
    assertEquals(await answers(), served);
    await agent.update(
      [without(byAddress), byNodePort],
      changes([byAddress, without(byAddress)], [without(byNodePort), byNodePort]),
    );
    assertEquals(await answers(), served);
    await agent.update([without(byAddress), without(byNodePort)], changes([byNodePort, without(byNodePort)]));
    assertEquals(await answers(), ["refused", "refused"]);
  },
);

/** The pods of the lab. */
const CLUSTER_CIDRS = { IPv4: ["10.244.0.0/16"], IPv6: ["fd00:244::/47"] };

testInLab(
  "with the policy Local pods and the node get all endpoints, the outside this node's",
  async (create) => {
    await using lab = await labWithPod(create);
    await lab.outside.ip(["route add fd00:244::/47 via 2001:db8:77::2"]);
    // The neighbour stands for an endpoint on another node.
    for (const protocol of PROTOCOLS) {
      await lab.serve(lab.outside, { protocol, port: 8080, addresses: OUTSIDE });
    }
    const local = ports({ externalTrafficPolicy: "Local" }).map((one) =>
      withEndpoints(withKind(one, "LoadBalancerIP"), [...POD, ...OUTSIDE], POD)
    );
    const elsewhere = local.map((one) => withEndpoints(one, OUTSIDE));
    const destinations = [["10.96.0.40", 80], ["fd00:96::40", 80], ["192.168.77.2", 30040], [
      "2001:db8:77::2",
      30040,
    ]] as const;
    const answers = async (
      from: Namespace,
      protocol: LabProtocol,
      host: string,
      port: number,
      count = 16,
    ): Promise<string[]> => [...(await lab.ask(from, { protocol, host, port, count })).keys()].sort();
    const by = (index: 0 | 1, source: string): string[] =>
      [OUTSIDE[index], POD[index]].map((endpoint) => `${endpoint} asked by ${source}`).sort();
    await using agent = await lab.agent(local, { clusterCIDRs: CLUSTER_CIDRS });
    for (const protocol of ["tcp", "udp"] as const) {
      for (const [host, port] of destinations) {
        const index = host.includes(":") ? 1 : 0;
        const where = `${protocol} ${host}`;
        const bare = index === 0 ? "10.244.1.5" : "fd00:244:1::5";
        assertEquals(await answers(lab.barePod, protocol, host, port), by(index, bare), where);
        // Whatever source the node has there, the endpoint sees the address it is reached by.
        assertEquals(
          await answers(lab.node, protocol, host, port),
          [
            `${POD[index]} asked by ${index === 0 ? "10.244.0.1" : "fd00:244::1"}`,
            `${OUTSIDE[index]} asked by ${index === 0 ? "192.168.77.2" : "2001:db8:77::2"}`,
          ].sort(),
          where,
        );
        assertEquals(
          await answers(lab.outside, protocol, host, port),
          [`${POD[index]} asked by ${OUTSIDE[index]}`],
          where,
        );
      }
    }
    // A port that was a client's before leads where that client's packets went.
    await lab.barePod.sysctl({ "net/ipv4/ip_local_port_range": "20000 21999" });
    await agent.update(elsewhere, changes(...local.map((one, index) => [one, elsewhere[index]] as const)));
    for (const [host, port] of destinations) {
      const [from, index] = host.includes(":") ? ["fd00:244:1::5", 1] as const : ["10.244.1.5", 0] as const;
      assertEquals(
        await answers(lab.barePod, "udp", host, port),
        [`${OUTSIDE[index]} asked by ${from}`],
        host,
      );
      assertEquals(await answers(lab.outside, "udp", host, port, 1), ["silence"], host);
    }
    // Where nobody is known to be a pod, only the node itself is inside.
    await agent[Symbol.asyncDispose]();
    await using _unknowing = await lab.agent(elsewhere);
    assertEquals(await answers(lab.barePod, "udp", "10.96.0.40", 80, 1), ["silence"]);
    assertEquals(await answers(lab.node, "udp", "10.96.0.40", 80), ["192.168.77.1 asked by 192.168.77.2"]);
  },
);

testInLab("the node is masqueraded where its source is the load balancer's own address", async (create) => {
  await using lab = await labWithPod(create);
  await lab.node.ip(["addr add 10.96.0.40/32 dev lo"]);
  const local = withEndpoints(
    withKind(port("UDP", { externalTrafficPolicy: "Local" }), "LoadBalancerIP"),
    POD,
    POD,
  );
  await using agent = await lab.agent([local]);
  const question = { protocol: "udp", host: "10.96.0.40", port: 80 } as const;
  assertEquals(await sourceSeen(lab, lab.node, question), "10.244.0.1");
  // Where there is no endpoint for the outside, the node, at which nobody listens, says nothing to it.
  const elsewhere = withEndpoints(local, OUTSIDE);
  await agent.update([elsewhere], changes([local, elsewhere]));
  assertEquals([...(await lab.ask(lab.outside, question)).keys()], ["silence"]);
});

testInLab(
  "who comes to a ClusterIP from outside of the cluster is masqueraded, and pods are not",
  async (create) => {
    await using lab = await labWithPod(create);
    await lab.outside.ip(["route add fd00:244::/47 via 2001:db8:77::2"]);
    await using _agent = await lab.agent(ports(), { clusterCIDRs: CLUSTER_CIDRS });
    for (const protocol of PROTOCOLS) {
      for (
        const [host, node, bare] of [
          ["10.96.0.40", "10.244.0.1", "10.244.1.5"],
          ["fd00:96::40", "fd00:244::1", "fd00:244:1::5"],
        ] as const
      ) {
        assertEquals(await sourceSeen(lab, lab.outside, { protocol, host, port: 80 }), node, protocol);
        assertEquals(await sourceSeen(lab, lab.barePod, { protocol, host, port: 80 }), bare, protocol);
      }
    }
  },
);

testInLab(
  "addresses of the service CIDR that no Service has are dropped, and listed as written",
  async (create) => {
    await using lab = await labWithPod(create);
    await lab.serve(lab.outside, { protocol: "udp", port: 80, addresses: OUTSIDE });
    await lab.outside.ip(["addr add 10.96.9.9/32 dev node", "addr add fd00:96::9:9/128 dev node nodad"]);
    await lab.serve(lab.outside, { protocol: "udp", port: 81, addresses: ["10.96.9.9", "fd00:96::9:9"] });
    await lab.outside.ip(["route add fd00:244::/47 via 2001:db8:77::2"]);
    await using agent = await lab.agent(ports());
    const answers = async (from: Namespace): Promise<string[]> => {
      const asked = ["10.96.9.9", "fd00:96::9:9"].map((host) =>
        lab.ask(from, { protocol: "udp", host, port: 81 })
      );
      return (await Promise.all(asked)).map((one) => [...one.keys()].join().split(" ")[0] ?? "");
    };
    assertEquals(await answers(lab.barePod), ["10.96.9.9", "fd00:96::9:9"]);
    // Ranges side by side, and one within another.
    agent.redirector.setServiceCIDRs({
      IPv4: ["10.96.0.0/16", "10.97.0.0/16", "10.96.8.0/21"],
      IPv6: ["fd00:96::/108"],
    });
    await agent.redirector.flushed();
    assertEquals(await answers(lab.barePod), ["silence", "silence"]);
    assertEquals(await answers(lab.node), ["not", "not"], "not permitted");
    assertEquals(
      await sourceSeen(lab, lab.barePod, { protocol: "udp", host: "10.96.0.40", port: 80 }),
      "10.244.1.5",
    );
    agent.redirector.setServiceCIDRs({ IPv4: ["10.97.0.0/16"], IPv6: [] });
    await agent.redirector.flushed();
    assertEquals(await answers(lab.barePod), ["10.96.9.9", "fd00:96::9:9"]);
  },
);

testInLab("a LoadBalancer's address is for its source ranges alone, in both families", async (create) => {
  await using lab = await labWithPod(create);
  await lab.outside.ip(["addr add 192.168.77.3/24 dev node", "addr add 2001:db8:77::3/64 dev node nodad"]);
  const restricted = ports().map((one) => ({
    ...withKind(one, "LoadBalancerIP"),
    loadBalancerSourceRanges: {
      IPv4: ["192.168.77.3/32", "10.244.0.0/16", "10.244.1.0/24"],
      IPv6: ["2001:db8:77::3/128"],
    },
  }));
  await using agent = await lab.agent(restricted);
  const asked = (from: Namespace, protocol: LabProtocol, host: string, source?: string): Promise<string> =>
    sourceSeen(lab, from, { protocol, host, port: 80, ...(source === undefined ? {} : { source }) });
  for (const protocol of PROTOCOLS) {
    assertEquals(await asked(lab.outside, protocol, "10.96.0.40", "192.168.77.3"), "10.244.0.1", protocol);
    assertEquals(await asked(lab.outside, protocol, "10.96.0.40", OUTSIDE[0]), "silence", protocol);
    assertEquals(await asked(lab.barePod, protocol, "10.96.0.40"), "10.244.0.1", protocol);
    assertEquals(
      await asked(lab.outside, protocol, "fd00:96::40", "2001:db8:77::3"),
      "fd00:244::1",
      protocol,
    );
    assertEquals(await asked(lab.outside, protocol, "fd00:96::40", OUTSIDE[1]), "silence", protocol);
  }
  // A NodePort is not restricted.
  assertEquals(
    await sourceSeen(lab, lab.outside, { protocol: "udp", host: "192.168.77.2", port: 30040 }),
    "10.244.0.1",
  );
  const wider = restricted.map((one) => ({
    ...one,
    loadBalancerSourceRanges: { IPv4: ["0.0.0.0/0"], IPv6: ["2001:db8:77::1/128"] },
  }));
  await agent.update(wider, changes(...restricted.map((one, index) => [one, wider[index]] as const)));
  assertEquals(await asked(lab.outside, "tcp", "10.96.0.40", OUTSIDE[0]), "10.244.0.1");
  assertEquals(await asked(lab.outside, "tcp", "fd00:96::40", OUTSIDE[1]), "fd00:244::1");
  assertEquals(await asked(lab.outside, "tcp", "fd00:96::40", "2001:db8:77::3"), "silence");
  // What was written is read back as the same: a comparison finds nothing.
  await agent[Symbol.asyncDispose]();
  await using again = await lab.agent(wider);
  assertEquals(again.applied.map(({ transactions }) => transactions), [0]);
});

testInLab(
  "the node is let in by a load balancer's address that it has itself, where that is in the ranges",
  async (create) => {
    await using lab = await labWithPod(create);
    await lab.node.ip(["addr add 10.96.0.40/32 dev lo"]);
    const restricted = (...IPv4: readonly string[]): ServicePort => ({
      ...withKind(port("UDP"), "LoadBalancerIP"),
      loadBalancerSourceRanges: { IPv4, IPv6: [] },
    });
    const [without, withOwn] = [
      restricted("192.168.77.2/32"),
      restricted("192.168.77.2/32", "10.96.0.40/32"),
    ];
    await using agent = await lab.agent([without]);
    const question = { protocol: "udp", host: "10.96.0.40", port: 80 } as const;
    assertEquals(await sourceSeen(lab, lab.node, question), "not permitted");
    await agent.update([withOwn], changes([without, withOwn]));
    assertEquals(await sourceSeen(lab, lab.node, question), "10.244.0.1");
    assertEquals(await sourceSeen(lab, lab.outside, question), "silence");
  },
);
