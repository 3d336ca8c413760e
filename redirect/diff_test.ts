import { assertEquals } from "@std/assert/equals";
import type { ServicePortChange, ServicePortKey } from "../agent/model/mod.ts";
import { Random } from "../agent/model/testing/random.ts";
import { diffChanges, diffPlans, mergeChanges } from "./diff.ts";
import { createLayout } from "./layout.ts";
import { renderDelta, renderReplacement } from "./nft_script.ts";
import { planServicePort } from "./plan.ts";
import { SharedElements } from "./shared_elements.ts";
import { FakeNft } from "./testing/fake_nft.ts";
import { servicePort } from "../agent/model/testing/service_ports.ts";
import { changes, RandomPorts } from "./testing/random_ports.ts";

const LAYOUT = createLayout({ tcp: 1666, http: 1667 });

Deno.test("diffChanges() is silent when nothing the kernel sees has changed", () => {
  const before = servicePort();
  const after = {
    ...before,
    endpoints: {
      ...before.endpoints,
      IPv4: before.endpoints.IPv4.map((endpoint) => ({ ...endpoint, zone: "elsewhere" })),
    },
  };
  assertEquals(diffChanges(changes([before, after]), new SharedElements()), { delete: [], add: [] });
});

Deno.test("diffChanges() sees a VIP that moves to another ServicePort as one element that goes and one that comes", () => {
  const first = servicePort({ name: "first" });
  const second = servicePort({ name: "second", appProtocol: "tcp" });
  const key = "10.96.0.10 . tcp . 80";
  assertEquals(diffChanges(changes([first, undefined], [undefined, second]), new SharedElements()), {
    delete: [{ container: "service-ips-4", key, value: "4c51:1" }],
    add: [{ container: "service-ips-4", key, value: "4c52:1" }],
  });
  const sameListener = { ...second, appProtocol: "http2" as const };
  assertEquals(diffChanges(changes([first, undefined], [undefined, sameListener]), new SharedElements()), {
    delete: [],
    add: [],
  });
});

Deno.test("mergeChanges() keeps the oldest before and the newest after", () => {
  const [a, b, c] = (["tcp", "http", "http2"] as const).map((appProtocol) => servicePort({ appProtocol }));
  const pending = changes([a, b]);
  mergeChanges(pending, changes([b, c]));
  assertEquals([...pending.values()], [{ before: a, after: c }]);
});

Deno.test("any sequence of changes, merged in any groups, leaves the kernel as a rebuild would", async () => {
  for (let seed = 1; seed <= 25; seed++) {
    const random = new Random(seed);
    const model = new RandomPorts(random);
    const nft = new FakeNft();
    const shared = new SharedElements();
    await nft.apply(renderReplacement(LAYOUT, []));
    for (let step = 0; step < 40; step++) {
      const pending = new Map<ServicePortKey, ServicePortChange>();
      for (let merged = random.integer(1, 3); merged > 0; merged--) mergeChanges(pending, model.step());
      const delta = diffChanges(pending, shared);
      // Sent in two halves of text order it would fail: deletions come first, in the same transaction.
      await nft.apply(renderDelta(delta));
      const rebuilt = new FakeNft();
      const plan = [...model.servicePorts()].flatMap(planServicePort);
      await rebuilt.apply(renderReplacement(LAYOUT, diffPlans([], plan).add));
      assertEquals(nft.elements(), rebuilt.elements(), `seed ${seed}, step ${step}`);
    }
  }
});
