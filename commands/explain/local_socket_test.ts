import { assertEquals } from "@std/assert/equals";
import { assertRejects } from "@std/assert/rejects";
import { createLogger } from "../../agent/log.ts";
import { AdsAddressError } from "../../xds/mod.ts";
import type { Explanation } from "./explanation.ts";
import { type Answer, askAgent, ExplainError, serveExplanations } from "./local_socket.ts";

const ECHO: Explanation = {
  service: "default/echo",
  viewpoint: { kind: "agent", nodeName: "node-1" },
  zone: "",
  traffic: {
    internalTrafficPolicy: "Cluster",
    externalTrafficPolicy: "Cluster",
    affinityTimeoutSeconds: 0,
    trafficDistribution: "",
    loadBalancerSourceRanges: { IPv4: [], IPv6: [] },
    healthCheck: null,
  },
  ports: [],
  problems: [],
  leftOutUnknown: null,
  clientAddressLacking: null,
};
const signal = AbortSignal.timeout(60_000);

Deno.test("the local socket", async (t) => {
  const folder = await Deno.makeTempDir({ prefix: "lightpath-explain-" });
  const path = `${folder}/agent.sock`;
  const lines: string[] = [];
  const logger = createLogger({ level: "debug", format: "text", write: (line) => void lines.push(line) });
  const ask = (service: string): Promise<Explanation> => askAgent({ path, service, signal });
  let explain = (service: string): Promise<Answer> =>
    Promise.resolve(service === "default/echo" ? ECHO : { notServed: `no ${service}` });
  try {
    await t.step("nobody there: how to get an answer", async () => {
      await assertRejects(
        () => ask("default/echo"),
        ExplainError,
        `no agent answers at ${path}: is it running`,
      );
    });
    {
      await using _server = await serveExplanations({ path, logger, explain: (service) => explain(service) });
      await t.step("only its owner may ask", async () => {
        assertEquals((await Deno.stat(path)).mode! & 0o777, 0o600);
      });
      await t.step("an explanation", async () => assertEquals(await ask("default/echo"), ECHO));
      await t.step("a sentence instead of one", async () => {
        await assertRejects(() => ask("a/b&c=d"), ExplainError, "no a/b&c=d");
        explain = () => Promise.resolve({ notYet: "not yet" });
        await assertRejects(() => ask("default/echo"), ExplainError, "not yet");
      });
      await t.step("a fault of the agent's is logged there", async () => {
        explain = () => Promise.reject(new Error("broken"));
        await assertRejects(() => ask("default/echo"), ExplainError, "a fault in Lightpath");
        assertEquals(lines.filter((line) => line.includes("broken")).length, 1);
      });
      await t.step("a second agent does not take it away", async () => {
        await assertRejects(
          () => serveExplanations({ path, logger, explain }),
          AdsAddressError,
          "another agent",
        );
        await assertRejects(() => ask("default/echo"), ExplainError, "a fault in Lightpath");
      });
    }
    await t.step("it goes with its server, and leaves nothing", () => {
      assertEquals([...Deno.readDirSync(folder)], []);
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
