/**
 * What happens to connections while Envoy comes and goes, in a real kernel.
 * @module
 */

import { assertEquals } from "@std/assert/equals";
import { delay } from "@std/async/delay";
import { servicePort } from "../agent/model/testing/service_ports.ts";
import type { Namespace } from "../scripts/lab/mod.ts";
import { testUnless } from "../scripts/lab/testing.ts";
import { withEndpoints } from "./testing/endpoints.ts";
import { labUnavailable, NodeLab, testOverBackends } from "./testing/node_lab.ts";

const POD = ["10.244.0.5 8080", "fd00:244::5 8080"];
const WEB = withEndpoints(
  servicePort({ vips: ["10.96.0.10 80", "fd00:96::10 80"], families: ["IPv4", "IPv6"] }),
  POD,
  POD,
);
const HOSTS = [["10.96.0.10", "1667 10.96.0.10:80"], ["fd00:96::10", "1667 [fd00:96::10]:80"]] as const;

/** Connects again and again from one port, whose connection the other side closes first. */
const REUSE_PORT = `import socket, sys
for attempt in range(3):
    c = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
    c.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    c.settimeout(0.8)
    c.bind(("", 40000))
    c.connect((sys.argv[1], 80))
    print(c.recv(99).decode().strip())
    assert c.recv(99) == b""
    c.close()`;

/** Envoy's stand-in that closes first, so that the connection lingers on its side. */
const CLOSE_FIRST = `import socket
s = socket.create_server(("::", 1667), family=socket.AF_INET6, dualstack_ipv6=True)
print("listening", flush=True)
while True:
    c, _ = s.accept()
    c.sendall(b"closing\\n")
    c.close()`;

/** Connects twice from one port, the second time a moment after the other side has reset the connection. Waits for a line before it does. */
const REUSE_RESET_PORT = `import socket, sys, time
for attempt in range(2):
    c = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
    c.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    c.settimeout(9)
    c.bind(("", 40001))
    c.connect((sys.argv[1], 80))
    c.sendall(b"hello\\n")
    print("connected", flush=True)
    try:
        print(c.recv(99).decode().strip(), flush=True)
    except ConnectionResetError:
        print("reset", flush=True)
    c.close()
    time.sleep(0.3)`;

/** Envoy's stand-in that never answers. */
const SILENT = `import socket
s = socket.create_server(("::", 1667), family=socket.AF_INET6, dualstack_ipv6=True)
print("listening", flush=True)
held = []
while True:
    held.append(s.accept())`;

function testInLab(name: string, fn: (lab: NodeLab) => Promise<void>): void {
  testOverBackends(`Envoy gone: ${name}`, async (create) => {
    await using lab = await create();
    await fn(lab);
  });
}

testInLab("who meets no listener reaches an endpoint without anybody telling the kernel", async (lab) => {
  await lab.serve(lab.pod, { protocol: "tcp", port: 8080, addresses: ["10.244.0.5", "fd00:244::5"] });
  await using agent = await lab.agent([WEB]);
  const endpointOf = async (from: Namespace, host: string): Promise<string | undefined> =>
    (await lab.dial(from, host, 80)).split(" ")[0];
  // The first is dropped, and tries again after a second; that somebody was, is known to all from then on.
  assertEquals(await endpointOf(lab.barePod, "10.96.0.10"), "10.244.0.5");
  await lab.listen(lab.node, [1667]);
  for (const [host] of HOSTS) {
    const endpoint = host.includes(":") ? "fd00:244::5" : "10.244.0.5";
    for (const from of [lab.barePod, lab.node]) {
      // With iptables only those near the one who met nobody know of it, by the first byte of their address.
      if (lab.programs !== undefined && (from === lab.node || host.includes(":"))) continue;
      assertEquals(await endpointOf(from, host), endpoint);
    }
  }
  // Who knows better says so, also where the agent before had no time to say the contrary.
  agent.redirector.setEnvoyReady(true);
  await agent.redirector.flushed();
  for (const [host, answer] of HOSTS) assertEquals(await lab.dial(lab.barePod, host, 80), answer);
});

testInLab(
  "a program of the node reaches an endpoint too; with iptables it waits for the next Envoy",
  async (lab) => {
    await lab.serve(lab.pod, { protocol: "tcp", port: 8080, addresses: ["10.244.0.5", "fd00:244::5"] });
    await using _agent = await lab.agent([WEB]);
    if (lab.programs === undefined) {
      // Each is to find out for itself.
      for (const [host] of HOSTS) {
        await lab.nftByHand("flush", "set", "inet", "lightpath", "envoy-gone");
        const endpoint = host.includes(":") ? "fd00:244::5" : "10.244.0.5";
        assertEquals((await lab.dial(lab.node, host, 80)).split(" ")[0], endpoint);
      }
      return;
    }
    const answer = lab.dial(lab.node, "10.96.0.10", 80);
    await delay(500);
    await lab.listen(lab.node, [1667]);
    assertEquals(await answer, HOSTS[0][1]);
  },
);

testInLab("a client that uses a port again which Envoy has just closed is let through", async (lab) => {
  const envoy = lab.node.spawn(["python3", "-c", CLOSE_FIRST]);
  await envoy.waitForLine(/listening/);
  await using _agent = await lab.agent([WEB]);
  for (const [host] of HOSTS) {
    const answers = await lab.pod.run(["python3", "-c", REUSE_PORT, host]);
    assertEquals(answers.trim().split("\n"), ["closing", "closing", "closing"], host);
  }
});

testUnless(
  "kernel: Envoy gone: a client that uses the port again of a connection that broke with Envoy is not sent after it",
  {
    unavailable: labUnavailable,
  },
  async () => {
    await using lab = await NodeLab.create();
    await lab.serve(lab.pod, { protocol: "tcp", port: 8080, addresses: ["10.244.0.5", "fd00:244::5"] });
    await using agent = await lab.agent([WEB]);
    for (const [host] of HOSTS) {
      agent.redirector.setEnvoyReady(true);
      await agent.redirector.flushed();
      const envoy = lab.node.spawn(["python3", "-c", SILENT]);
      await envoy.waitForLine(/listening/);
      const client = lab.barePod.spawn(["python3", "-c", REUSE_RESET_PORT, host]);
      await client.waitForLine(/connected/);
      await envoy.kill("SIGKILL");
      agent.redirector.setEnvoyReady(false);
      await client.status;
      const endpoint = host.includes(":") ? "fd00:244::5" : "10.244.0.5";
      assertEquals(client.recentOutput().split("\n").map((line) => line.split(" ")[0]), [
        ...["connected", "reset"],
        ...["connected", endpoint],
      ]);
    }
  },
);
