import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { Lab } from "./lab.ts";
import { startEchoServerIn, startLoad } from "./load.ts";
import { testInNamespace } from "./testing.ts";

testInNamespace(
  "pods, the node and the outside reach a pod on both families with their own addresses",
  async () => {
    await using lab = await Lab.create();
    const [server, client] = await Promise.all([
      lab.addPod({ name: "pod-1", host: 11 }),
      lab.addPod({ name: "client", host: 100 }),
    ]);
    await startEchoServerIn(server.namespace, { name: "pod-1" });
    const addresses = [server.ipv4, ...(server.ipv6 === undefined ? [] : [`[${server.ipv6}]`])];
    for (const from of [client.namespace, lab.node, lab.outside]) {
      for (const address of addresses) {
        for (const url of [`http://${address}:8080/`, `h2c://${address}:8080/`, `tcp://${address}:9000`]) {
          const report = await startLoad(from, { url, requests: 2 }).report();
          assertEquals(
            {
              requests: report.requests,
              byBackend: report.byBackend,
              errors: report.errors,
              from: from.name,
            },
            { requests: 2, byBackend: { "pod-1": 2 }, errors: {}, from: from.name },
          );
          assertEquals(report.connections, 1, url);
        }
      }
    }
    // A pod sees another pod's own address, and an address outside of the lab is unreachable at once.
    const seen = await client.namespace.run([
      Deno.execPath(),
      "eval",
      `console.log(await (await fetch("http://${server.ipv4}:8080/x")).text())`,
    ]);
    assertEquals(/^RemoteAddr: (.*):\d+$/m.exec(seen)?.[1], client.ipv4);
    const nowhere = await startLoad(client.namespace, { url: "tcp://10.96.0.10:80", requests: 1 }).report();
    assertEquals(nowhere.failed, 1);
    assertMatch(Object.keys(nowhere.errors)[0] ?? "", /unreachable/);
  },
);

testInNamespace("a load client counts what fails when its backend goes away", async () => {
  await using lab = await Lab.create();
  const pod = await lab.addPod({ name: "pod-1", host: 11 });
  const server = await startEchoServerIn(pod.namespace, { name: "pod-1" });
  const loads = ["http", "h2c", "tcp"].map((protocol) => {
    const port = protocol === "tcp" ? 9000 : 8080;
    return startLoad(lab.node, {
      url: `${protocol}://${pod.ipv4}:${port}/`,
      newConnections: true,
      pauseMs: 5,
    });
  });
  for (const load of loads) await load.started();
  await server.stop();
  await new Promise((resolve) => setTimeout(resolve, 100));
  for (const load of loads) {
    const report = await load.stop();
    const answered = report.byBackend["pod-1"] ?? 0;
    assertEquals([report.failed > 0, answered > 0, report.requests], [true, true, report.failed + answered]);
  }
});
