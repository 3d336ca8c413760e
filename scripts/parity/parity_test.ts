/**
 * The table of cases against real proxies with real connections: kube-proxy, behind a real kube-apiserver, and Lightpath with
 * TCP carried by Envoy and by the kernel.
 * @module
 */
import { assertEquals } from "@std/assert/equals";
import { testUnless } from "../lab/testing.ts";
import { namespacesUnavailable } from "../lab/mod.ts";
import { progress } from "../tool_path.ts";
import { ensureTool } from "../tools/mod.ts";
import { PROXY_NAMES, PROXY_TOOLS, type ProxyName } from "./proxies.ts";
import { runTable } from "./run.ts";
import { SCENARIOS } from "./scenarios/mod.ts";

for (const proxy of PROXY_NAMES) {
  testUnless(
    `${proxy} does what the table of cases says`,
    { unavailable: [await namespacesUnavailable(), ...await unavailableTools(proxy)] },
    async () => {
      const verdicts = await runTable({ proxy, scenarios: SCENARIOS });
      const failed = verdicts.filter(({ state }) => state === "failed");
      assertEquals(failed.map(({ row, fault }) => `${row.name}: ${fault}`), []);
    },
  );
}

async function unavailableTools(proxy: ProxyName): Promise<(string | undefined)[]> {
  const tools: (string | undefined)[] = [];
  for (const name of PROXY_TOOLS[proxy]) {
    tools.push((await ensureTool(name, { onProgress: progress })).unavailable);
  }
  return tools;
}
