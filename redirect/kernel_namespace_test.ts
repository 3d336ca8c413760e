/**
 * What clients meet, in a real kernel: with nftables, however it is written, and with iptables of both kinds.
 * @module
 */

import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertRejects } from "@std/assert/rejects";
import { createLogger } from "../agent/log.ts";
import { ENVOY_SOCKET_PRIORITY } from "../agent/model/mod.ts";
import { servicePort } from "../agent/model/testing/service_ports.ts";
import { createIptablesBackend } from "./iptables/iptables_backend.ts";
import { createPrograms } from "./iptables/run_programs.ts";
import { RedirectError } from "./redirect_error.ts";
import { withEndpoints, withKind } from "./testing/endpoints.ts";
import { testUnless } from "../scripts/lab/testing.ts";
import { backendUnavailable, LAB_BACKENDS, NodeLab, testOverBackends } from "./testing/node_lab.ts";
import { changes } from "./testing/random_ports.ts";

const WEB = servicePort({
  name: "web",
  vips: ["10.96.0.10 80", "fd00:96::10 80"],
  nodePort: 30080,
  families: ["IPv4", "IPv6"],
});
const DATABASE = servicePort({
  name: "database",
  appProtocol: "tcp",
  vips: ["10.96.0.20 5432", "fd00:96::20 5432"],
});
const EMPTY = servicePort({
  name: "empty",
  endpoints: [],
  vips: ["10.96.0.30 80", "fd00:96::30 80"],
  nodePort: 30090,
});

/** Prints the source port of the first TCP packet from the sender below. */
const SNIFF = `import socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
print("listening")
while True:
    packet = s.recv(99)
    port = struct.unpack("!H", packet[20:22])[0]
    if port in (1667, 1668):
        print("source port", port)
        break`;

/** Sends TCP packets without any flag, which conntrack calls invalid: from Envoy's port, then from another. */
const SEND_INVALID = `import socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
for port in (1667, 1668):
    try:
        s.sendto(struct.pack("!HHIIBBHHH", port, 9, 1, 0, 5 << 4, 0, 1000, 0, 0), ("192.168.77.1", 0))
    except PermissionError:
        pass`;

const testInLab = (name: string, fn: Parameters<typeof testOverBackends>[1]): void =>
  testOverBackends(name, fn, LAB_BACKENDS);

testInLab("connections to VIPs from pods and the host reach Envoy, which learns the VIP", async (create) => {
  await using lab = await create(1666, 1667);
  await using _agent = await lab.agent([WEB, DATABASE, EMPTY]);
  for (const from of [lab.pod, lab.barePod, lab.node]) {
    assertEquals(await lab.dial(from, "10.96.0.10", 80), "1667 10.96.0.10:80", from.name);
    assertEquals(await lab.dial(from, "fd00:96::10", 80), "1667 [fd00:96::10]:80", from.name);
    assertEquals(await lab.dial(from, "10.96.0.20", 5432), "1666 10.96.0.20:5432", from.name);
    assertEquals(await lab.dial(from, "fd00:96::20", 5432), "1666 [fd00:96::20]:5432", from.name);
  }
});

testOverBackends(
  "what the node sends to a VIP that is an endpoint itself never comes back to Envoy",
  async (create) => {
    await using lab = await create(1666, 1667, 80);
    const vips = ["192.168.77.2 80", "2001:db8:77::2 80"];
    // As with an external IP that is a node's address, and a host-network endpoint on that very port.
    const external = withKind(servicePort({ vips, families: ["IPv4", "IPv6"] }), "ExternalIP");
    const atNode = withEndpoints(external, vips);
    await using agent = await lab.agent([atNode]);
    const dialed = async (): Promise<string[]> => [
      await lab.dial(lab.node, "192.168.77.2", 80, ENVOY_SOCKET_PRIORITY),
      await lab.dial(lab.node, "2001:db8:77::2", 80, ENVOY_SOCKET_PRIORITY),
    ];
    assertEquals(await lab.dial(lab.pod, "192.168.77.2", 80), "1667 192.168.77.2:80");
    // Other endpoints need no detour, and this one does again.
    const elsewhere = withEndpoints(atNode, ["10.244.0.5 80"], ["fd00:244::5 80"]);
    await agent.update([elsewhere], changes([atNode, elsewhere]));
    await agent.update([atNode], changes([elsewhere, atNode]));
    for (const answer of await dialed()) assertMatch(answer, /^80 /);
  },
  ["netlink", "iptables-nft", "iptables-legacy"],
);

testInLab("without known node addresses the interface's own address leads to Envoy", async (create) => {
  await using lab = await create(1666, 1667);
  await using _agent = await lab.agent([WEB], { nodeAddresses: { IPv4: [], IPv6: [] } });
  for (const from of [lab.pod, lab.node]) {
    assertEquals(await lab.dial(from, "10.96.0.10", 80), "1667 10.96.0.10:80", from.name);
    assertEquals(await lab.dial(from, "fd00:96::10", 80), "1667 [fd00:96::10]:80", from.name);
  }
});

testInLab("what has no endpoint is refused at once; what is not served is left alone", async (create) => {
  await using lab = await create(1666, 1667);
  await lab.listen(lab.outside, [8081]);
  await lab.outside.ip(["addr add 10.96.0.50/32 dev node"]);
  const external = withKind(servicePort({ name: "external", vips: ["10.96.0.50 80"] }), "ExternalIP");
  await using agent = await lab.agent([WEB, EMPTY, external]);
  for (const from of [lab.pod, lab.barePod, lab.node]) {
    assertEquals(await lab.dial(from, "10.96.0.30", 80), "refused", from.name);
    assertEquals(await lab.dial(from, "fd00:96::30", 80), "refused", from.name);
    assertEquals(await lab.dial(from, "192.168.77.2", 30090), "refused", from.name);
    // Another port of an address that is not the cluster's goes its way, here to a machine that has that address.
    assertEquals(await lab.dial(from, "10.96.0.50", 8081), "8081 itself", from.name);
    // A ClusterIP is nobody's own address.
    assertEquals(await lab.dial(from, "10.96.0.10", 8081), "refused", from.name);
    assertEquals(await lab.dial(from, "fd00:96::10", 8081), "refused", from.name);
  }
  const filled = { ...EMPTY, endpoints: WEB.endpoints };
  await agent.update([WEB, filled], changes([EMPTY, filled]));
  assertEquals(await lab.dial(lab.pod, "10.96.0.30", 80), "1667 10.96.0.30:80");
  // A changed verdict: the same key deleted and added in one transaction.
  const retyped = { ...filled, appProtocol: "tcp" as const };
  await agent.update([WEB, retyped], changes([filled, retyped]));
  assertEquals(await lab.dial(lab.pod, "10.96.0.30", 80), "1666 10.96.0.30:80");
  await agent.update([WEB, EMPTY], changes([retyped, EMPTY]));
  assertEquals(await lab.dial(lab.pod, "10.96.0.30", 80), "refused");
  assertEquals(agent.applied.map(({ kind }) => kind), ["start", "update", "update", "update"]);
});

testInLab("NodePorts answer on this node's addresses, to everyone, and not on loopback", async (create) => {
  await using lab = await create(1666, 1667, 30080);
  await using _agent = await lab.agent([WEB]);
  for (const from of [lab.outside, lab.pod, lab.barePod, lab.node]) {
    assertEquals(await lab.dial(from, "192.168.77.2", 30080), "1667 192.168.77.2:30080", from.name);
    assertEquals(await lab.dial(from, "2001:db8:77::2", 30080), "1667 [2001:db8:77::2]:30080", from.name);
  }
  assertEquals(await lab.dial(lab.node, "10.244.0.1", 30080), "1667 10.244.0.1:30080");
  // A program that listens there itself goes on answering on loopback.
  assertEquals(await lab.dial(lab.node, "127.0.0.1", 30080), "30080 itself");
  assertEquals(await lab.dial(lab.node, "::1", 30080), "30080 itself");
});

testInLab("Envoy's ports are no open proxy: who connects to them directly is reset", async (create) => {
  await using lab = await create(1666, 1667);
  assertEquals(await lab.dial(lab.pod, "192.168.77.2", 1667), "1667 itself", "reachable without the table");
  await using _agent = await lab.agent([WEB]);
  for (const port of [1666, 1667]) {
    for (
      const [from, address] of [
        [lab.outside, "192.168.77.2"],
        [lab.pod, "10.244.0.1"],
        [lab.pod, "fd00:244::1"],
        [lab.node, "127.0.0.1"],
        [lab.node, "192.168.77.2"],
        [lab.node, "::1"],
      ] as const
    ) {
      assertEquals(await lab.dial(from, address, port), "refused", `${from.name} to ${address}:${port}`);
    }
  }
});

testInLab("a program of the host may use one of Envoy's ports as its source", async (create) => {
  await using lab = await create();
  await lab.listen(lab.outside, [9000]);
  await using _agent = await lab.agent([WEB]);
  const script =
    `import socket; c = socket.create_connection(("192.168.77.1", 9000), 5, ("192.168.77.2", 1666))
print(c.recv(99).decode().strip())`;
  assertEquals((await lab.node.run(["python3", "-c", script])).trim(), "9000 itself");
});

testInLab("a packet of Envoy's that conntrack gave up on does not leave untranslated", async (create) => {
  await using lab = await create();
  await using _agent = await lab.agent([WEB]);
  const sniffer = lab.outside.spawn(["python3", "-u", "-c", SNIFF]);
  await sniffer.waitForLine(/listening/);
  await lab.node.run(["python3", "-c", SEND_INVALID]);
  // The second packet is the proof that the first would have been seen.
  assertEquals(await sniffer.waitForLine(/^source port/), "source port 1668");
});

testInLab(
  "a restart writes nothing; another layout replaces the table; connections go on through both",
  async (create) => {
    await using lab = await create(1666, 1667, 1777);
    const first = await lab.agent([WEB, DATABASE]);
    const conversations = [lab.talk(lab.pod, "10.96.0.10", 80), lab.talk(lab.node, "fd00:96::10", 80)];
    for (const conversation of conversations) await conversation.goesOn();
    await first[Symbol.asyncDispose]();
    const written = lab.written;
    {
      await using second = await lab.agent([WEB, DATABASE]);
      assertEquals(second.applied.map(({ kind, transactions }) => [kind, transactions]), [["start", 0]]);
      assertEquals(lab.written, written);
    }
    await using _third = await lab.agent([WEB, DATABASE], { httpPort: 1777 });
    assert(lab.written > written);
    assertEquals(await lab.dial(lab.pod, "10.96.0.10", 80), "1777 10.96.0.10:80");
    for (const conversation of conversations) await conversation.goesOn();
  },
);

testInLab("a running connection goes on when the last endpoint goes, or the Service", async (create) => {
  await using lab = await create(1666, 1667);
  await using agent = await lab.agent([WEB]);
  const conversation = lab.talk(lab.pod, "10.96.0.10", 80);
  await conversation.goesOn();
  const without = { ...WEB, endpoints: EMPTY.endpoints };
  await agent.update([without], changes([WEB, without]));
  assertEquals(await lab.dial(lab.pod, "10.96.0.10", 80), "refused");
  await conversation.goesOn();
  await agent.update([], changes([without, undefined]));
  await conversation.goesOn();
});

testInLab("an element the kernel refuses keeps out no other", async (create) => {
  await using lab = await create(1666, 1667);
  const lines: string[] = [];
  const logger = createLogger({ level: "warn", format: "text", write: (line) => lines.push(line) });
  const bad = servicePort({ name: "bad", vips: ["10.96.0.66 70000"] });
  await using agent = await lab.agent([bad, WEB], { logger });
  assertEquals(await lab.dial(lab.pod, "10.96.0.10", 80), "1667 10.96.0.10:80");
  assertEquals(lines.filter((line) => line.includes("refused a map element")).length, 2);
  const worse = servicePort({ name: "worse", vips: ["10.96.0.67 80000"] });
  await agent.update([bad, worse, WEB, DATABASE], changes([undefined, worse], [undefined, DATABASE]));
  assertEquals(await lab.dial(lab.pod, "10.96.0.20", 5432), "1666 10.96.0.20:5432");
});

for (const variant of ["iptables-nft", "iptables-legacy"] as const) {
  testUnless(`${variant}: drift is mended; cleanup leaves everything as it was`, {
    unavailable: backendUnavailable(variant),
  }, async () => {
    await using lab = await NodeLab.createWith(variant, 1666, 1667);
    const { iptablesPath, ipsetPath = "ipset" } = lab.programOptions(variant);
    const everything = async (): Promise<string> => {
      const [four, six] = [await lab.programs?.saveTables("4"), await lab.programs?.saveTables("6")];
      return `${four}${six}${await lab.programs?.saveSets()}`.replaceAll(/^#.*\n/gm, "");
    };
    // Both tables there, and somebody else in them.
    for (const table of ["nat", "filter"]) {
      await lab.node.run([iptablesPath, "-t", table, "-A", "OUTPUT", "-d", "192.0.2.1", "-j", "ACCEPT"]);
    }
    const before = await everything();
    for (
      const tampering of [
        [ipsetPath, "flush", "lightpath-envoy-http-4"],
        [iptablesPath, "-t", "nat", "-I", "LIGHTPATH", "-j", "RETURN"],
        [iptablesPath, "-t", "nat", "-F", "OUTPUT"],
        [iptablesPath, "-t", "nat", "-F", "LIGHTPATH-VIPS-HTTP"],
      ]
    ) {
      await using agent = await lab.agent([WEB], { resyncIntervalMs: 150 });
      await lab.node.run(tampering);
      assert(await agent.drift > 0, tampering.join(" "));
      await agent.redirector.flushed();
      assertEquals(await lab.dial(lab.node, "10.96.0.10", 80), "1667 10.96.0.10:80", tampering.join(" "));
    }
    await lab.node.run([iptablesPath, "-t", "nat", "-A", "OUTPUT", "-d", "192.0.2.1", "-j", "ACCEPT"]);
    await lab.backend().cleanup();
    const after = await everything();
    assertEquals(after.includes("LIGHTPATH") || after.includes("lightpath"), false);
    assertEquals(
      withoutCounts(after).filter((line) => !withoutCounts(before).includes(line) && line.startsWith("-A")),
      [],
    );
  });
}

for (const variant of ["iptables-nft", "iptables-legacy"] as const) {
  testUnless(`${variant}: the right that lacks is said before anything is changed`, {
    unavailable: backendUnavailable(variant),
  }, async () => {
    await using lab = await NodeLab.createWith(variant);
    const probe = (capabilities: string): Promise<void> => {
      const enter = lab.node.enter([
        "setpriv",
        `--bounding-set=${capabilities}`,
        `--inh-caps=${capabilities}`,
      ]);
      const programs = createPrograms({ ...lab.programOptions(variant), argvPrefix: enter });
      const ports = { tcp: 1666, http: 1667 };
      return createIptablesBackend({ programs, families: ["4", "6"], ports }).probe();
    };
    await probe("-all,+net_admin,+net_raw");
    await assertRejects(() => probe("-all,+net_admin"), RedirectError, "CAP_NET_RAW");
    await assertRejects(() => probe("-all,+net_raw"), RedirectError, "CAP_NET_ADMIN");
  });
}

function withoutCounts(saved: string): string[] {
  return saved.replaceAll(/\[\d+:\d+\]/g, "").split("\n");
}
