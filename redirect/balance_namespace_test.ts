/**
 * The kernel's own balancing, in a real kernel: every protocol and family, how evenly, and instead of Envoy.
 * @module
 */

import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import type { Protocol, ServicePort } from "../agent/model/mod.ts";
import { servicePort } from "../agent/model/testing/service_ports.ts";
import { testUnless } from "../scripts/lab/testing.ts";
import { withEndpoints } from "./testing/endpoints.ts";
import { type LabProtocol, labUnavailable, NodeLab, testOverBackends } from "./testing/node_lab.ts";
import { changes } from "./testing/random_ports.ts";

type CreateLab = Parameters<Parameters<typeof testOverBackends>[1]>[0];

function testInLab(name: string, fn: (create: CreateLab) => Promise<void>): void {
  testOverBackends(`kernel path: ${name}`, fn);
}

const FAMILIES = ["IPv4", "IPv6"] as const;

/** Addresses of endpoints in the pod, one for each number from 1 on. */
function podAddresses(count: number): string[] {
  return Array.from({ length: count }, (_, index) => [`10.244.0.${100 + index}`, `fd00:244::${100 + index}`])
    .flat();
}

function port(protocol: Protocol, endpoints: readonly string[], sketch = {}): ServicePort {
  const name = `echo-${protocol.toLowerCase()}`;
  const vips = ["10.96.0.40 80", "fd00:96::40 80"];
  return withEndpoints(
    servicePort({ name, protocol, vips, nodePort: 30040, families: FAMILIES, carrier: "kernel", ...sketch }),
    endpoints,
  );
}

/** A lab whose pod has so many addresses, with an endpoint on each. */
async function labWith(
  create: CreateLab,
  count: number,
  ...protocols: readonly LabProtocol[]
): Promise<NodeLab> {
  const lab = await create();
  const addresses = podAddresses(count);
  await lab.pod.ip(
    addresses.map((address) => `addr add ${address} dev node${address.includes(":") ? " nodad" : ""}`),
  );
  for (const protocol of protocols) await lab.serve(lab.pod, { protocol, port: 8080, addresses });
  return lab;
}

testInLab("UDP, TCP and SCTP reach an endpoint, by VIP and NodePort, from everywhere", async (create) => {
  await using lab = await labWith(create, 1, "tcp", "udp", "sctp");
  await using _agent = await lab.agent(
    (["TCP", "UDP", "SCTP"] as const).map((protocol) => port(protocol, podAddresses(1))),
  );
  for (const protocol of ["tcp", "udp", "sctp"] as const) {
    for (const from of [lab.barePod, lab.outside, lab.node]) {
      for (
        const [host, number, endpoint] of [
          ["10.96.0.40", 80, "10.244.0.100"],
          ["fd00:96::40", 80, "fd00:244::100"],
          ["192.168.77.2", 30040, "10.244.0.100"],
          ["2001:db8:77::2", 30040, "fd00:244::100"],
        ] as const
      ) {
        // From outside a VIP is reached only where a route leads here.
        if (from === lab.outside && number === 80) continue;
        const answers = await lab.ask(from, { protocol, host, port: number });
        assertEquals(
          [...answers.keys()].map((answer) => answer.split(" ")[0]),
          [endpoint],
          `${protocol} from ${from.name} to ${host}: ${[...answers.keys()]}`,
        );
      }
    }
  }
});

for (const protocol of ["udp", "tcp"] as const) {
  testInLab(`${protocol}: endpoints of any number are asked equally often`, async (create) => {
    await using lab = await labWith(create, 13, protocol);
    const kind = protocol === "udp" ? "UDP" : "TCP";
    const ports = [1, 2, 3, 5, 7, 13].map((count) =>
      port(kind, podAddresses(count), {
        name: `of-${count}`,
        vips: [`10.96.1.${count} 80`, `fd00:96::1:${count} 80`],
        nodePort: 0,
      })
    );
    await using _agent = await lab.agent(ports);
    for (const count of [1, 2, 3, 5, 7, 13]) {
      for (const host of [`10.96.1.${count}`, `fd00:96::1:${count}`]) {
        const asked = 60 * count;
        const answers = await lab.ask(lab.barePod, { protocol, host, port: 80, count: asked });
        assertEquals(answers.size, count, `${host}: ${[...answers.keys()]}`);
        let chiSquare = 0;
        for (const times of answers.values()) chiSquare += (times - 60) ** 2 / 60;
        // Far beyond chance (12 degrees of freedom: 45 once in 100,000), far below any bias.
        assert(chiSquare < 20 + 3 * count, `${host}: ${[...answers.values()]}`);
      }
    }
  });
}

/** Accepts at all addresses, and says at which one it was asked. */
const ACCEPT = `import socket
server = socket.create_server(("", 8080), backlog=1000)
print("accepting", flush=True)
while True:
    connection, _ = server.accept()
    connection.sendall(connection.getsockname()[0].encode())
    connection.close()`;

/** Asks so many times, and prints how often each answer came. */
const COUNT = `import collections, json, socket, sys
answers = collections.Counter()
for _ in range(int(sys.argv[1])):
    with socket.create_connection(("10.96.0.40", 80), 5) as connection:
        answers[connection.recv(99).decode()] += 1
print(json.dumps(answers))`;

testInLab("a thousand endpoints are asked equally often", async (create) => {
  await using lab = await create();
  await lab.pod.ip(["route add local 10.245.0.0/16 dev lo"]);
  await lab.node.ip(["route add 10.245.0.0/16 via 10.244.0.5"]);
  await lab.pod.spawn(["python3", "-c", ACCEPT]).waitForLine(/accepting/);
  const endpoints = Array.from({ length: 1_000 }, (_, index) => `10.245.${1 + (index >> 8)}.${index & 255}`);
  const asked = 20;
  await using _agent = await lab.agent([port("TCP", endpoints, { vips: ["10.96.0.40 80"], nodePort: 0 })]);
  const counts: Record<string, number> = JSON.parse(
    await lab.barePod.run(["python3", "-c", COUNT, String(asked * endpoints.length)]),
  );
  const chiSquare = endpoints.reduce((sum, one) => sum + ((counts[one] ?? 0) - asked) ** 2 / asked, 0);
  // With 999 degrees of freedom more than that once in a million times.
  assert(chiSquare < 1_220, `${chiSquare}`);
});

/** Sends every datagram back. */
const ECHO = `import socket
server = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
server.bind(("::", 8080))
print("echoing", flush=True)
while True:
    server.sendto(*server.recvfrom(65536))`;

/** Sends one datagram of each size over one socket, and prints the sizes that come back. */
const SEND = `import socket, sys
host, port, *sizes = sys.argv[1:]
client = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
client.settimeout(5)
client.connect((host, int(port)))
for size in map(int, sizes):
    client.send(b"x" * size)
    print(len(client.recv(65536)))`;

testInLab("UDP: datagrams that travel in pieces arrive whole, and their answers", async (create) => {
  await using lab = await create();
  await lab.pod.spawn(["python3", "-c", ECHO]).waitForLine(/echoing/);
  await using _agent = await lab.agent([port("UDP", ["10.244.0.5", "fd00:244::5"])]);
  const sizes = ["100", "1473", "9000", "60000"];
  for (const from of [lab.barePod, lab.node, lab.outside]) {
    for (
      const [host, number] of [
        ["10.96.0.40", 80],
        ["fd00:96::40", 80],
        ["192.168.77.2", 30040],
        ["2001:db8:77::2", 30040],
      ] as const
    ) {
      // From outside a VIP is reached only where a route leads here.
      if (from === lab.outside && number === 80) continue;
      const answers = await from.run(["python3", "-c", SEND, host, String(number), ...sizes]);
      assertEquals(answers.trim().split("\n"), sizes, `${from.name} to ${host}`);
    }
  }
});

testInLab("an endpoint that comes is asked, one that goes is not; each is a few elements", async (create) => {
  await using lab = await labWith(create, 6, "udp");
  const sizes = [4, 5, 6, 5, 4, 1];
  const [first = 0] = sizes;
  let now = port("UDP", podAddresses(first));
  await using agent = await lab.agent([now]);
  for (const [round, size] of sizes.slice(1).entries()) {
    // A port that was a client's before leads where that client's packets went.
    const firstPort = 20_000 + 2_000 * round;
    await lab.barePod.sysctl({ "net/ipv4/ip_local_port_range": `${firstPort} ${firstPort + 1_999}` });
    const next = port("UDP", podAddresses(size));
    await agent.update([next], changes([now, next]));
    now = next;
    for (const host of ["10.96.0.40", "fd00:96::40"]) {
      const answers = await lab.ask(lab.barePod, { protocol: "udp", host, port: 80, count: 60 });
      const endpoints = podAddresses(size).filter((address) => address.includes(":") === host.includes(":"));
      assertEquals([...answers.keys()].map((answer) => answer.split(" ")[0]).sort(), endpoints.sort());
    }
  }
});

testInLab(
  "while Envoy is not ready its destinations are the kernel's: one element, and back",
  async (create) => {
    await using lab = await labWith(create, 2, "tcp");
    await lab.listen(lab.node, [1666, 1667]);
    const web = port("TCP", podAddresses(2), { carrier: "envoy" });
    const cache = port("TCP", podAddresses(2), {
      name: "cache",
      carrier: "envoy",
      appProtocol: "redis",
      vips: ["10.96.0.41 80"],
      nodePort: 0,
    });
    await using agent = await lab.agent([web, cache]);
    const destinations = [
      ["10.96.0.40", 80, "1667 10.96.0.40:80"],
      ["fd00:96::40", 80, "1667 [fd00:96::40]:80"],
      ["192.168.77.2", 30040, "1667 192.168.77.2:30040"],
      ["10.96.0.41", 80, "1666 10.96.0.41:80"],
    ] as const;
    const conversation = lab.talk(lab.barePod, "10.96.0.40", 80);
    await conversation.goesOn();
    for (const ready of [true, false, true]) {
      agent.redirector.setEnvoyReady(ready);
      await agent.redirector.flushed();
      for (const [host, number, answer] of destinations) {
        for (const from of [lab.barePod, lab.node]) {
          const answered = await lab.dial(from, host, number);
          if (ready) assertEquals(answered, answer, from.name);
          else assert(/^\S+:?24[4:]\S* asked by /.test(answered), `${from.name} to ${host}: ${answered}`);
        }
      }
      // What Envoy carries already it goes on to carry.
      await conversation.goesOn();
    }
    assertEquals(
      agent.applied.slice(-2).map(({ elementsAdded, elementsDeleted }) => [elementsAdded, elementsDeleted]),
      [
        [0, 1],
        [1, 0],
      ],
    );
  },
);

testUnless("kernel path: what a packet's priority was used for does not leave with it", {
  unavailable: labUnavailable,
}, async () => {
  await using lab = await labWith(() => NodeLab.create(), 1, "udp");
  await using _agent = await lab.agent([port("UDP", podAddresses(1))]);
  await lab.nftByHand(`table inet watch {
    counter before { }
    counter left { }
    chain p { type filter hook prerouting priority -95; meta priority 4c51:0-4c5f:ffff counter name before; }
    chain o { type filter hook output priority -95; meta priority 4c51:0-4c5f:ffff counter name before; }
    chain i2 { type filter hook input priority 10; meta priority 4c51:0-4c5f:ffff counter name left; }
    chain p2 { type filter hook postrouting priority 10; meta priority 4c51:0-4c5f:ffff counter name left; }
  }`);
  // Of a forwarded packet the kernel itself sets it anew for IPv4, not for IPv6.
  for (const host of ["10.96.0.40", "fd00:96::40"]) {
    for (const from of [lab.barePod, lab.node]) {
      await lab.ask(from, { protocol: "udp", host, port: 80, count: 3 });
    }
  }
  const counters = await lab.nftByHand("list", "counters");
  assertEquals([...counters.matchAll(/packets (\d+)/g)].map(([, packets]) => packets), ["12", "0"]);
});
