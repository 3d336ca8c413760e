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
        assertEquals(
          await answersOf(from, protocol),
          Array(3).fill(told(from, protocol, "silence")),
          `${from.name} ${protocol}`,
        );
      }
    }
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
