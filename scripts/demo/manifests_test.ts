import { assertEquals } from "@std/assert/equals";
import { createManifestSource, type ObjectEvent } from "../../agent/kube/mod.ts";
import { silentLogger } from "../../agent/log.ts";
import { IP_FAMILIES, ServiceModel, type ServicePort } from "../../agent/model/mod.ts";
import { copyExample, writeEndpoints } from "./manifests.ts";
import { VIP } from "./stage.ts";

Deno.test("the example is a Service without problems, and its endpoints can be taken out and put back", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await copyExample(folder);
    const all = await read(folder);
    assertEquals(all.map(({ name, appProtocol }) => [name.port, appProtocol]), [["echo", "tcp"], [
      "http",
      "http",
    ]]);
    for (const { vips, endpoints } of all) {
      assertEquals(vips.map(({ address }) => address), [VIP.ipv4, VIP.ipv6]);
      assertEquals(endpoints.IPv4.map(({ address }) => address), [
        "10.244.0.11",
        "10.244.0.12",
        "10.244.0.13",
      ]);
      assertEquals(endpoints.IPv6.map(({ address }) => address), [
        "fd00:10:244::b",
        "fd00:10:244::c",
        "fd00:10:244::d",
      ]);
    }
    await writeEndpoints(folder, ["pod-2"]);
    for (const { endpoints } of await read(folder)) {
      assertEquals(endpoints.IPv4.map(({ address }) => address), ["10.244.0.12"]);
      assertEquals(endpoints.IPv6.map(({ address }) => address), ["fd00:10:244::c"]);
    }
    await writeEndpoints(folder, ["pod-1", "pod-2", "pod-3"]);
    assertEquals(await read(folder), all);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

async function read(folder: string): Promise<ServicePort[]> {
  const problems: unknown[] = [];
  const stop = new AbortController();
  const events: ObjectEvent[] = [];
  await createManifestSource({
    paths: [folder],
    logger: silentLogger,
    onProblem: (problem) => problems.push(problem),
  }).run({ take: (batch) => events.push(...batch), synced: () => stop.abort() }, stop.signal);
  const model = new ServiceModel({ serviceProxyName: "", families: IP_FAMILIES });
  problems.push(...model.reduce(events).problemsAppeared);
  assertEquals(problems, []);
  return [...model.servicePorts()].sort((a, b) => a.key < b.key ? -1 : 1);
}
