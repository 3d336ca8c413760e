/**
 * The program with iptables in the place of nftables: how it comes to that, and what is left behind of what was before.
 * @module
 */
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { dirname } from "@std/path/dirname";
import { testUnless } from "../scripts/lab/testing.ts";
import { operatorSentence, runLightpath } from "./testing/lightpath_process.ts";
import { service, slice } from "./testing/manifests.ts";
import { IPSET, IPTABLES, iptablesUnavailable, NFT, NodeFixture } from "./testing/node_fixture.ts";
import { until } from "./testing/until.ts";

const VIP = "10.96.0.10";
const VARIANTS = ["iptables-nft", "iptables-legacy"] as const;

/** What there is of Lightpath in the kernel, by how it came there. */
async function inKernel({ lab: { node } }: NodeFixture): Promise<string[]> {
  const found: string[] = [];
  if ((await node.run([NFT, "list", "tables"])).includes("inet lightpath")) found.push("nftables");
  for (const variant of VARIANTS) {
    for (const program of [IPTABLES[variant], IPTABLES[variant].replace(/ip(tables-\w+)$/, "ip6$1")]) {
      if ((await node.run([`${program}-save`])).includes("LIGHTPATH")) found.push(variant);
    }
  }
  if ((await node.run([IPSET, "list", "-name"])).includes("lightpath-")) found.push("ipset");
  return [...new Set(found)];
}

/** How many policy rules of ours there are. */
async function policyRules({ lab: { node } }: NodeFixture): Promise<number> {
  const rules = await node.run(["ip", "rule", "list"]);
  return rules.split("\n").filter((line) => /^7[678]:/.test(line)).length;
}

testUnless("the agent with iptables", { unavailable: iptablesUnavailable }, async (t) => {
  await using fixture = await NodeFixture.create();
  const { node } = fixture.lab;
  await fixture.manifests.write("web.yaml", [
    service("web", { clusterIPs: [VIP], ports: [{ name: "http", port: 80 }] }),
    slice("web", { addresses: fixture.addresses("ipv4"), ports: [{ name: "http", port: 8080 }] }),
  ]);

  // As packages install them: all in one folder.
  const folder = await Deno.makeTempDir({ prefix: "lightpath-test-" });
  await using made = new AsyncDisposableStack();
  made.defer(() => Deno.remove(folder, { recursive: true }));
  for (const path of VARIANTS.map((variant) => dirname(IPTABLES[variant]))) {
    for await (const { name } of Deno.readDir(path)) {
      if (/^ip6?tables-(nft|legacy)/.test(name)) await Deno.symlink(`${path}/${name}`, `${folder}/${name}`);
    }
  }
  const programs = (variant: typeof VARIANTS[number]): string[] => [
    `--iptables-bin=${folder}/${variant}`,
    `--ipset-bin=${IPSET}`,
  ];
  const iptablesFlags = (variant: typeof VARIANTS[number]): string[] => [
    "--redirect=iptables",
    ...programs(variant),
  ];

  async function serves(flags: readonly string[], found: readonly string[]): Promise<string> {
    const agent = await fixture.startAgent(...flags).ready();
    await until("the way", () => fixture.pod.isThroughEnvoy(`${VIP}:80`), { wanted: (is) => is === true });
    await until("what is in the kernel", () => inKernel(fixture), {
      wanted: (now) => now.join() === found.join(),
    });
    const [backend = ""] = found;
    assertEquals(await agent.metric("lightpath_redirect_backend", { backend }), 1);
    // Envoy's connections are in its clients' names with nftables only, and so is what brings the answers.
    const isNftables = backend === "nftables";
    assertEquals(await agent.metric("lightpath_client_address_preserved"), isNftables ? 1 : 0);
    await until("policy routes", () => policyRules(fixture), {
      wanted: (count) => (count > 0) === isNftables,
    });
    const [line] = agent.lines(/nftables cannot be used/);
    assertEquals(await agent.stop(), 0);
    return `${line?.level} ${line?.fields["reason"]}`;
  }

  await t.step("auto: where nft is missing iptables is used, and why is said", async () => {
    const flags = ["--nft-bin=/proc/none/nft", ...programs("iptables-nft")];
    assertMatch(await serves(flags, ["iptables-nft", "ipset"]), /^warn .*no program "\/proc\/none\/nft"/);
  });

  await t.step("auto: where nft is there it is used, and what iptables had is removed", async () => {
    await serves(programs("iptables-nft"), ["nftables"]);
  });

  await t.step("iptables is used where it is asked for, and what others had is removed", async () => {
    for (const variant of VARIANTS) await serves(iptablesFlags(variant), [variant, "ipset"]);
    const agent = await fixture.startAgent(...iptablesFlags("iptables-nft")).ready();
    const [told] = agent.lines(/endpoints see this node's address instead of their clients'/);
    assertMatch(String(told?.fields["because"]), /^iptables cannot tell/);
    await agent.stop();
    await serves(programs("iptables-legacy"), ["nftables"]);
  });

  await t.step("cleanup removes it all", async () => {
    for (const variant of VARIANTS) {
      const agent = await fixture.startAgent(...iptablesFlags(variant)).ready();
      await agent.stop();
      const flags = [`--nft-bin=${NFT}`, ...programs(variant)];
      assertEquals((await runLightpath(node, ["cleanup", ...flags])).code, 0);
      assertEquals(await inKernel(fixture), []);
    }
  });

  await t.step("with neither the mend of both is said", async () => {
    const result = await runLightpath(node, [
      "agent",
      `--manifests=${fixture.manifests.path}`,
      "--envoy=external",
      "--state-dir=",
      "--nft-bin=/proc/none/nft",
      "--iptables-bin=/proc/none/iptables",
      `--ipset-bin=${IPSET}`,
    ]);
    const sentence = operatorSentence(result);
    assertMatch(sentence, /install nftables 1\.0\.1 or newer, or name it with --nft-bin/);
    assertMatch(sentence, /install iptables, or name it with --iptables-bin/);
  });
});
