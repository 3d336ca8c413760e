import { assertEquals } from "@std/assert/equals";
import { Cluster } from "./cluster.ts";
import { OUTSIDE_ADDRESSES } from "./cluster_addresses.ts";
import { namespacesUnavailable } from "./namespace.ts";
import { testUnless } from "./testing.ts";
import { ask, startWhoami, whoami } from "./whoami.ts";
import { progress } from "../tool_path.ts";
import { ensureTool } from "../tools/mod.ts";

const nftTool = await ensureTool("nft", { onProgress: progress });
const NFT = nftTool.path ?? "nft";
const unavailable = [await namespacesUnavailable(), nftTool.unavailable];

testUnless(
  "in the cluster everybody reaches a pod of either node with the own address, over each protocol and family",
  { unavailable },
  async () => {
    await using cluster = await Cluster.create({ prefixes: [], nft: NFT });
    const [nodeA, nodeB] = cluster.nodes;
    const client = await cluster.addPod(nodeA, { name: "client", host: 100 });
    const servers = [
      await cluster.addPod(nodeA, { name: "a1", host: 11 }),
      await cluster.addPod(nodeB, { name: "b1", host: 11 }),
    ];
    await Promise.all(
      servers.map((pod) => startWhoami(pod.namespace, { name: pod.name, addresses: pod, ports: [8080] })),
    );
    const places = [
      { namespace: client.namespace, own: client },
      { namespace: cluster.outside, own: OUTSIDE_ADDRESSES },
    ];
    for (const { namespace, own } of places) {
      const wanted: string[] = [];
      const questions = servers.flatMap((server) =>
        (["tcp", "http", "udp", "sctp"] as const).flatMap((protocol) =>
          (["ipv4", "ipv6"] as const).map((family) => {
            wanted.push(`${protocol} ${server.name} asked by ${own[family]}`);
            return { protocol, host: server[family] ?? "", port: 8080, times: 1, timeoutMs: 5_000 };
          })
        )
      );
      const seen = (await ask(namespace, questions)).map(([attempt], index) => {
        const said = attempt === undefined ? undefined : whoami(attempt);
        return `${questions[index]?.protocol} ${said?.name} asked by ${said?.source}`;
      });
      assertEquals(seen, wanted);
    }
  },
);

testUnless("an attempt tells refused, unreachable and silent apart", { unavailable }, async () => {
  await using cluster = await Cluster.create({ prefixes: ["203.0.113.0/24"], nft: NFT });
  const [nodeA] = cluster.nodes;
  await nodeA.namespace.ip(["route add blackhole 198.51.100.1/32"]);
  const pod = await cluster.addPod(nodeA, { name: "client", host: 100 });
  // Longer than it takes until a SYN is sent again: an ICMP error may come before connect() listens to it.
  const question = { port: 8080, times: 2, timeoutMs: 2_500 };
  const results = await ask(pod.namespace, [
    { ...question, protocol: "tcp", host: nodeA.addresses.primary.ipv4 },
    { ...question, protocol: "udp", host: nodeA.addresses.primary.ipv6 },
    { ...question, protocol: "tcp", host: "203.0.113.1" },
    { ...question, protocol: "udp", host: "203.0.113.1" },
    { ...question, protocol: "udp", host: "198.51.100.1", timeoutMs: 300 },
  ]);
  assertEquals(results.map((attempts) => attempts.map(({ outcome }) => outcome)), [
    ["refused", "refused"],
    ["refused", "refused"],
    ["unreachable", "unreachable"],
    ["unreachable", "unreachable"],
    ["timeout"],
  ]);
});
