/**
 * Clients that keep their endpoints, in a real kernel.
 * @module
 */

import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { delay } from "@std/async/delay";
import type { Protocol, ServicePort } from "../agent/model/mod.ts";
import { servicePort } from "../agent/model/testing/service_ports.ts";
import type { Namespace } from "../scripts/lab/mod.ts";
import { withEndpoints } from "./testing/endpoints.ts";
import { type LabProtocol, type NodeLab, testOverBackends } from "./testing/node_lab.ts";
import { changes } from "./testing/random_ports.ts";

const IPV4 = [1, 2, 3, 4, 5].map((host) => `10.244.0.${100 + host}`);
const IPV6 = [1, 2, 3, 4, 5].map((host) => `fd00:244::${100 + host}`);
const DESTINATIONS = [
  ["10.96.0.40", 80],
  ["fd00:96::40", 80],
  ["192.168.77.2", 30040],
  ["2001:db8:77::2", 30040],
] as const;

function port(protocol: Protocol, endpoints: readonly string[], affinityTimeoutSeconds: number): ServicePort {
  const name = `sticky-${protocol.toLowerCase()}`;
  const vips = ["10.96.0.40 80", "fd00:96::40 80"];
  const families = ["IPv4", "IPv6"] as const;
  return withEndpoints(
    servicePort({ name, protocol, vips, nodePort: 30040, families, affinityTimeoutSeconds }),
    endpoints,
  );
}

function testInLab(name: string, fn: (lab: NodeLab) => Promise<void>): void {
  testOverBackends(`affinity: ${name}`, async (create) => {
    await using lab = await create();
    const addresses = [...IPV4, ...IPV6];
    await lab.pod.ip(
      addresses.map((address) => `addr add ${address} dev node${address.includes(":") ? " nodad" : ""}`),
    );
    for (const protocol of ["tcp", "udp", "sctp"] as const) {
      await lab.serve(lab.pod, { protocol, port: 8080, addresses });
    }
    await fn(lab);
  });
}

/** The endpoints that answered. */
async function asked(
  lab: NodeLab,
  { from, protocol, to: [host, port], count }: {
    readonly from: Namespace;
    readonly protocol: LabProtocol;
    readonly to: readonly [string, number];
    readonly count: number;
  },
): Promise<string[]> {
  const answers = await lab.ask(from, { protocol, host, port, count });
  return [...answers.keys()].map((answer) => answer.split(" ")[0] ?? "");
}

testInLab(
  "a client keeps its endpoint, per destination, also when others come and go; not one that is gone",
  async (lab) => {
    const ports = (["TCP", "UDP", "SCTP"] as const).map((protocol) =>
      port(protocol, [...IPV4, ...IPV6], 10_800)
    );
    await using agent = await lab.agent(ports);
    // Envoy keeps clients by other means; here the kernel stands in for it.
    agent.redirector.setEnvoyReady(false);
    await agent.redirector.flushed();
    for (const protocol of ["tcp", "udp", "sctp"] as const) {
      const before = ports.find(({ name }) => name.protocol === protocol.toUpperCase());
      const kept: (readonly [Namespace, typeof DESTINATIONS[number], string])[] = [];
      for (const from of [lab.barePod, lab.node, lab.outside]) {
        for (const to of DESTINATIONS) {
          if (from === lab.outside && to[1] === 80) continue;
          const [endpoint = "", ...others] = await asked(lab, { from, protocol, to, count: 12 });
          assertEquals(others, [], `${from.name} ${protocol} ${to}`);
          kept.push([from, to, endpoint]);
        }
      }
      // Everybody keeps theirs but those whose endpoint goes, and these get one that they keep.
      const [, , gone = ""] = kept[0] ?? [];
      const left = [...IPV4, ...IPV6].filter((address) => address !== gone);
      const after = port(protocol.toUpperCase() as Protocol, left, 10_800);
      await agent.update([after], changes([before, after]));
      for (const [from, to, endpoint] of kept) {
        const answered = await asked(lab, { from, protocol, to, count: 8 });
        if (endpoint !== gone) assertEquals(answered, [endpoint], `${from.name} ${protocol} ${to}`);
        else {assert(
            answered.length === 1 && answered[0] !== gone,
            `${from.name} ${protocol} ${to}: ${answered}`,
          );}
      }
      await agent.update(ports, changes([after, before]));
    }
  },
);

testInLab("clients are spread over the endpoints, and forgotten after the timeout", async (lab) => {
  const udp = port("UDP", IPV4, 5);
  await using _agent = await lab.agent([udp]);
  const endpoints = new Set<string>();
  await lab.barePod.ip(Array.from({ length: 20 }, (_, host) => `addr add 10.244.1.${50 + host}/32 dev node`));
  await lab.node.ip(["route add 10.244.1.0/24 dev bare"]);
  for (let host = 0; host < 20; host++) {
    const source = `10.244.1.${50 + host}`;
    const answers = await lab.ask(lab.barePod, {
      protocol: "udp",
      host: "10.96.0.40",
      port: 80,
      count: 3,
      source,
    });
    assertEquals(answers.size, 1);
    for (const answer of answers.keys()) endpoints.add(answer.split(" ")[0] ?? "");
  }
  assert(endpoints.size >= 3, `${[...endpoints]}`);
  // The list of nftables can be looked at, those of iptables are cleared when they are asked only.
  if (lab.programs !== undefined) return;
  const remembered = async (): Promise<number> =>
    (await lab.nftByHand("list", "map", "inet", "lightpath", "clients-4")).match(/expires/g)?.length ?? 0;
  assert(await remembered() > 0);
  while (await remembered() > 0) await delay(250);
});

testInLab("what is remembered is no drift, and outlives changes and a restart of the agent", async (lab) => {
  const udp = port("UDP", [...IPV4, ...IPV6], 10_800);
  const question = { from: lab.barePod, protocol: "udp", to: DESTINATIONS[0], count: 6 } as const;
  let endpoint: string[];
  {
    await using _agent = await lab.agent([udp]);
    endpoint = await asked(lab, question);
  }
  await using agent = await lab.agent([udp]);
  assertEquals(agent.applied.map(({ transactions }) => transactions), [0]);
  assertEquals(await asked(lab, question), endpoint);
});
