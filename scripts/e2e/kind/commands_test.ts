/**
 * The commands are held as text, because no machine of the tests has Docker; `deno task e2e --backend kind --dry-run` prints them all.
 * @module
 */
import { assertEquals } from "@std/assert/equals";
import { assertStringIncludes } from "@std/assert/string-includes";
import {
  compactEtcd,
  inPod,
  kindConfig,
  onContainer,
  routesToNode,
  sayingItsPid,
  stopApiServer,
} from "./commands.ts";
import { dryRun, inShell } from "./kind_cluster.ts";

Deno.test("kind makes two nodes that run pods, of both families and without kube-proxy", () => {
  const { networking, nodes } = JSON.parse(kindConfig());
  assertEquals([networking.kubeProxyMode, networking.ipFamily], ["none", "dual"]);
  assertEquals(nodes.map(({ role }: { role: string }) => role), ["control-plane", "worker", "worker"]);
});

Deno.test("commands run in nodes and pods as they are written", () => {
  assertEquals(
    inShell(onContainer("node-1", ["nft", "delete", "table", "inet", "lightpath"])),
    "docker exec --interactive node-1 nft delete table inet lightpath",
  );
  assertEquals(
    inShell(inPod("/tmp/kubeconfig", "client-a", sayingItsPid(["python3", "/lab/ask.py"]))),
    "kubectl --kubeconfig=/tmp/kubeconfig exec --stdin client-a -- " +
      `sh -c 'echo "pid $$"; exec "$@"' sh python3 /lab/ask.py`,
  );
  assertEquals(inShell(["sh", "-c", "echo 'a b'"]), `sh -c 'echo '\\''a b'\\'''`);
});

Deno.test("routes from outside are to addresses of their own family", () => {
  assertEquals(
    routesToNode({ ipv4: "172.18.0.3", ipv6: "fc00::3" }).map((command) => command.slice(-4).join(" ")),
    [
      "add 198.51.100.10/32 via 172.18.0.3",
      "add 10.96.0.0/16 via 172.18.0.3",
      "add fd00:10:96::/112 via fc00::3",
    ],
  );
});

Deno.test("a shell takes the scripts that run on nodes", async () => {
  for (const [, , script = ""] of [stopApiServer(), compactEtcd()]) {
    const { success, stderr } = await new Deno.Command("sh", { args: ["-n", "-c", script] }).output();
    assertEquals(success, true, new TextDecoder().decode(stderr));
  }
});

Deno.test("a dry run prints the commands from the first to the last", () => {
  const lines = dryRun();
  assertStringIncludes(lines.join("\n"), "kind create cluster --name=lightpath-e2e");
  assertEquals(lines.at(-1), "kind delete cluster --name=lightpath-e2e");
});
