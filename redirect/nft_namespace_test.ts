/**
 * The redirect table in a real kernel: in network namespaces, with the real nft.
 * @module
 */

import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { ENVOY_SOCKET_PRIORITY } from "../agent/model/mod.ts";
import { servicePort } from "../agent/model/testing/service_ports.ts";
import { testUnless } from "../scripts/lab/testing.ts";
import { createLayout, layoutFingerprint } from "./layout.ts";
import { renderReplacement } from "./nft_script.ts";
import { parseRuleset } from "./parse_ruleset.ts";
import { cleanup } from "./reconcile.ts";
import { createNft } from "./run_nft.ts";
import { withKind } from "./testing/endpoints.ts";
import { type LabBackend, labUnavailable, NodeLab } from "./testing/node_lab.ts";
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

/** Registers a test for each way of writing. */
function testInLab(
  name: string,
  fn: (create: (...ports: readonly number[]) => Promise<NodeLab>, how: LabBackend) => Promise<void>,
): void {
  for (const how of ["netlink", "nft started", "nft kept", "newer nft"] as const) {
    testUnless(
      `kernel, ${how}: ${name}`,
      { unavailable: labUnavailable },
      () => fn((...ports) => NodeLab.createWith(how, ...ports), how),
    );
  }
}

testInLab("the table is taken as written, and read back as the same", async (create) => {
  await using lab = await create();
  await using _agent = await lab.agent([WEB, DATABASE, EMPTY]);
  const kernel = parseRuleset(await lab.nft.list());
  assertEquals(kernel.layout, layoutFingerprint(createLayout({ tcp: 1666, http: 1667 })));
  assertEquals(kernel.elements.length, 30);
});

testInLab("Envoy's own connections go to the endpoint itself, even where that is a VIP", async (create) => {
  await using lab = await create(1666, 1667, 80);
  // As with an external IP that is a node's address, and a host-network endpoint on that very port.
  const atNode = withKind(
    servicePort({ vips: ["192.168.77.2 80", "2001:db8:77::2 80"], families: ["IPv4", "IPv6"] }),
    "ExternalIP",
  );
  await using _agent = await lab.agent([atNode]);
  assertEquals(await lab.dial(lab.node, "192.168.77.2", 80), "1667 192.168.77.2:80");
  assertEquals(await lab.dial(lab.node, "192.168.77.2", 80, ENVOY_SOCKET_PRIORITY), "80 itself");
  assertEquals(await lab.dial(lab.node, "2001:db8:77::2", 80, ENVOY_SOCKET_PRIORITY), "80 itself");
});

testInLab("a VIP of ours is ours also where kube-proxy's rules stand beside", async (create) => {
  await using lab = await create(1666, 1667);
  await lab.nftByHand(`
    table ip kube-proxy {
      chain nat-prerouting { type nat hook prerouting priority -100; ip daddr 10.96.0.10 dnat to 192.168.77.1; }
      chain nat-output { type nat hook output priority -100; ip daddr 10.96.0.10 dnat to 192.168.77.1; }
    }`);
  await using _agent = await lab.agent([WEB]);
  for (const from of [lab.pod, lab.node]) {
    assertEquals(await lab.dial(from, "10.96.0.10", 80), "1667 10.96.0.10:80", from.name);
  }
});

testInLab("drift is mended: a flushed set, a foreign rule, a deleted table", async (create) => {
  for (
    const tampering of [
      ["flush", "map", "inet", "lightpath", "service-ips-4"],
      ["insert", "rule", "inet", "lightpath", "nat-prerouting", "return"],
      ["delete", "table", "inet", "lightpath"],
    ]
  ) {
    await using lab = await create(1666, 1667);
    // Its table stays, and nobody is there who would mend it.
    {
      await using _agent = await lab.agent([WEB]);
    }
    await lab.nftByHand(...tampering);
    assert(await lab.dial(lab.pod, "10.96.0.10", 80) !== "1667 10.96.0.10:80", tampering.join(" "));
    // As an agent that has been at work: its first comparison is a start, its second finds the drift.
    await using agent = await lab.agent([WEB], { resyncIntervalMs: 150 });
    await lab.nftByHand(...tampering);
    assert(await agent.drift > 0);
    await agent.redirector.flushed();
    assertEquals(await lab.dial(lab.pod, "10.96.0.10", 80), "1667 10.96.0.10:80", tampering.join(" "));
  }
});

testInLab("a change that meets a tampered table mends it at once", async (create) => {
  await using lab = await create(1666, 1667);
  await using agent = await lab.agent([WEB]);
  await lab.nftByHand("flush", "map", "inet", "lightpath", "service-ips-4");
  const retyped = { ...WEB, appProtocol: "tcp" as const };
  await agent.update([retyped], changes([WEB, retyped]));
  assertEquals(await lab.dial(lab.pod, "10.96.0.10", 80), "1666 10.96.0.10:80");
  await lab.nftByHand("delete", "table", "inet", "lightpath");
  await agent.update([WEB], changes([retyped, WEB]));
  assertEquals(await lab.dial(lab.pod, "10.96.0.10", 80), "1667 10.96.0.10:80");
});

testInLab("cleanup leaves the ruleset byte for byte as it was", async (create) => {
  await using lab = await create();
  await lab.nftByHand(`
    table inet other {
      set s { type ipv4_addr; elements = { 10.0.0.1 }; }
      chain c {
        type filter hook input priority 0; policy accept;
        ip saddr @s drop
      }
    }
    table ip nat {
      chain prerouting { type nat hook prerouting priority -100; }
    }`);
  const before = await lab.nftByHand("list", "ruleset");
  {
    await using _agent = await lab.agent([WEB, EMPTY]);
    assert(await lab.nftByHand("list", "ruleset") !== before);
  }
  await cleanup(lab.nft);
  assertEquals(await lab.nftByHand("list", "ruleset"), before);
  await cleanup(lab.nft);
  assertEquals(await lab.nftByHand("list", "ruleset"), before);
});

testInLab("50,000 destinations load; a change among them is its own elements", async (create, how) => {
  // A table that was not there is made by nft, and filled over netlink.
  const transactions = how === "netlink" ? 2 : 1;
  await using lab = await create(1666, 1667);
  const many = Array.from(
    { length: 50_000 },
    (_, index) =>
      servicePort({
        name: `s${index}`,
        vips: [`10.${97 + (index >> 16)}.${(index >> 8) & 255}.${index & 255} 80`],
      }),
  );
  await using agent = await lab.agent(many);
  assertEquals(agent.applied.map(({ elementsAdded }) => elementsAdded), [150_007]);
  // In a user namespace the kernel limits the size of a message, and so of a transaction.
  if (Deno.uid() === 0) assertEquals(agent.applied[0]?.transactions, transactions);
  await agent.update([...many, WEB], changes([undefined, { ...WEB, nodePort: 0 }]));
  assertEquals(agent.applied.at(-1)?.elementsAdded, 6);
  assertEquals(await lab.dial(lab.pod, "10.96.0.10", 80), "1667 10.96.0.10:80");
  assertEquals(await lab.dial(lab.pod, "10.97.195.79", 80), "1667 10.97.195.79:80");
  assertEquals(parseRuleset(await lab.nft.list()).elements.length, 150_013);
});

testInLab("without CAP_NET_ADMIN nft's refusal is one clear sentence", async (create) => {
  await using lab = await create();
  const prefix = lab.node.enter(["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"]);
  const nft = createNft({ nftPath: lab.nftPath, argvPrefix: prefix });
  const error = await nft.list().then(() => undefined, (error) => error);
  assertEquals([error?.kind, /CAP_NET_ADMIN/.test(error?.message)], ["permission", true]);
});

testInLab(
  "the layout fits into one message of a user namespace, where messages are short",
  async (create) => {
    await using lab = await create();
    const layout = renderReplacement(createLayout({ tcp: 1666, http: 1667 }), []);
    const nft = createNft({ nftPath: lab.nftPath, argvPrefix: lab.node.enter(["unshare", "-Urn"]) });
    await nft.check(layout);
  },
);
