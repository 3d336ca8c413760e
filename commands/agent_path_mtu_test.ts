/**
 * The whole program: on the way to an endpoint packets may have to be smaller than both ends know, which a router on the way tells
 * whoever sent one. Through Envoy in a client's name that is addressed to the client, and is to reach Envoy.
 * @module
 */
import { assertEquals } from "@std/assert/equals";
import { connect, startEchoServerIn } from "../scripts/lab/mod.ts";
import { testUnless } from "../scripts/lab/testing.ts";
import { service, slice } from "./testing/manifests.ts";
import { fixtureUnavailable, NodeFixture } from "./testing/node_fixture.ts";

const VIP = "10.96.0.10";
const VIP6 = "fd00:10:96::10";
const FAR = "192.168.78.9";
const FAR6 = "fd00:192:168:78::9";
const KERNEL = "10.96.0.11";
const KERNEL6 = "fd00:10:96::11";

/** A machine beyond `outside`, on a way that takes packets of 1,300 bytes at most; neither it nor the node knows. */
async function farServer({ lab: { node, outside } }: NodeFixture): Promise<void> {
  const far = await node.child({ name: "far" });
  await connect(outside, far, {
    a: ["192.168.78.1/24", "fd00:192:168:78::1/64"],
    b: [`${FAR}/24`, `${FAR6}/64`],
  });
  await outside.ip([
    `route add ${FAR}/32 dev far mtu 1300`,
    `route add ${FAR6}/128 dev far mtu 1300`,
  ]);
  await far.ip(["route add default via 192.168.78.1", "route add ::/0 via fd00:192:168:78::1"]);
  await startEchoServerIn(far, { name: "far" });
}

/** How many of 100,000 bytes come back through an echo server. */
async function echoed({ client }: NodeFixture, host: string): Promise<number> {
  const script = `import socket
connection = socket.create_connection(("${host}", 9000), 5)
connection.settimeout(8)
connection.recv(200)
connection.sendall(b"x" * 100000)
connection.shutdown(socket.SHUT_WR)
count = 0
try:
    while piece := connection.recv(65536):
        count += len(piece)
except TimeoutError:
    pass
print(count)`;
  return Number(await client.namespace.run(["python3", "-c", script]));
}

testUnless("what a router says of a packet too big reaches who sent it", {
  unavailable: fixtureUnavailable,
}, async (t) => {
  await using fixture = await NodeFixture.create();
  await farServer(fixture);
  const ports = [{ name: "echo", port: 9000 }];
  for (
    const [name, clusterIPs, annotations] of [
      ["far", [VIP, VIP6], {}],
      ["far-kernel", [KERNEL, KERNEL6], { "lightpath.cloud/path": "kernel" }],
    ] as const
  ) {
    await fixture.manifests.write(`${name}.yaml`, [
      service(name, { clusterIPs, ports, annotations }),
      slice(name, { addresses: [FAR], ports }),
      slice(name, { addresses: [FAR6], ports }),
    ]);
  }
  await fixture.startAgent().ready();
  for (
    const [how, host] of [["Envoy", VIP], ["Envoy", VIP6], ["the kernel", KERNEL], ["the kernel", KERNEL6]]
  ) {
    await t.step(`through ${how} to ${host}`, async () => {
      assertEquals(await echoed(fixture, String(host)), 100_000);
    });
    await fixture.lab.node.ip(["route flush cache"]);
  }
});
