/**
 * The kernel opens a destination when Envoy can answer there: clients connect all the time while Services, their first
 * endpoints and their protocols come and go.
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { testUnless } from "../scripts/lab/testing.ts";
import { DoorWatch, faultsOfOpening } from "./testing/door_watch.ts";
import { service, slice } from "./testing/manifests.ts";
import { fixtureUnavailable, NFT, NodeFixture } from "./testing/node_fixture.ts";
import { until } from "./testing/until.ts";

const VIP = "10.96.0.10";
const TURNING = "10.96.0.20";
/** Each round finds a gap of a few milliseconds about every second time. */
const ROUNDS = 20;

const MANIFESTS = {
  "service.yaml": (_fixture: NodeFixture) => [
    service("web", { clusterIPs: [VIP], ports: [{ name: "http", port: 80 }, { name: "echo", port: 9000 }] }),
  ],
  "slice.yaml": (fixture: NodeFixture) => [
    slice("web", {
      addresses: fixture.addresses("ipv4", 0),
      ports: [{ name: "http", port: 8080 }, { name: "echo", port: 9000 }],
    }),
  ],
} as const;

/** What is nobody's is refused beyond the node too, so that every attempt ends at once. */
const REFUSE_THE_REST = "add table inet gateway { chain refuse { type filter hook prerouting priority 0; " +
  "ip daddr 10.96.0.0/16 reject with tcp reset; }; }";

/** Wants HTTP/2 with prior knowledge, as gRPC servers do. (HTTP/1.1 requires `host`, HTTP/2 has :authority in its place.) */
const H2C_BACKEND = `Deno.serve({ hostname: "0.0.0.0", port: 8081, onListen: () => console.log("listening") },
  ({ headers }) => new Response("Hostname: backend-1\\n", { status: headers.has("host") ? 505 : 200 }));`;

async function write(fixture: NodeFixture, file: keyof typeof MANIFESTS): Promise<void> {
  await fixture.manifests.write(file, MANIFESTS[file](fixture));
}

/** Takes a manifest away and brings it back, again and again, while four clients connect; what they met at openings. */
async function faultsWhileReopening(fixture: NodeFixture, file: keyof typeof MANIFESTS): Promise<string[]> {
  const watches: DoorWatch[] = [];
  {
    await using watching = new AsyncDisposableStack();
    for (const [port, protocol] of [[80, "http"], [9000, "tcp"], [80, "h2c"], [9000, "tcp"]] as const) {
      watches.push(watching.use(new DoorWatch(fixture.pod, { target: `${VIP}:${port}`, protocol })));
    }
    for (let round = 0; round < ROUNDS; round++) {
      await Promise.all(watches.map((watch) => watch.seen("open")));
      await fixture.manifests.remove(file);
      await Promise.all(watches.map((watch) => watch.seen("shut")));
      await write(fixture, file);
    }
    await Promise.all(watches.map((watch) => watch.seen("open")));
  }
  return watches.flatMap(({ outcomes }) => faultsOfOpening(outcomes));
}

testUnless("kernel and Envoy in order", { unavailable: fixtureUnavailable }, async (t) => {
  await using fixture = await NodeFixture.create();
  await fixture.lab.outside.run([NFT, REFUSE_THE_REST]);
  const backend = fixture.backends[0].namespace.spawn([Deno.execPath(), "eval", "--no-config", H2C_BACKEND]);
  await backend.waitForLine(/^listening$/);
  for (const file of ["service.yaml", "slice.yaml"] as const) await write(fixture, file);
  const agent = await fixture.startAgent().ready();

  for (
    const [what, file] of [
      // 30 connections failed in 40 openings while the kernel did not wait for Envoy …
      ["a first endpoint comes and goes", "slice.yaml"],
      // … and 578, because Envoy has to replace the Cluster first.
      ["a Service comes back to its VIP, and goes", "service.yaml"],
    ] as const
  ) {
    await t.step(`${what}: no connection meets an Envoy that has nothing`, async () => {
      assertEquals(await faultsWhileReopening(fixture, file), []);
    });
  }

  await t.step("a port turns from HTTP/2 into TCP and back: no request fails", async () => {
    async function turn(appProtocol: string): Promise<void> {
      await fixture.manifests.write("turning.yaml", [
        service("turning", { clusterIPs: [TURNING], ports: [{ name: "main", port: 80, appProtocol }] }),
        slice("turning", { addresses: fixture.addresses("ipv4", 0), ports: [{ name: "main", port: 8081 }] }),
      ]);
      const path = appProtocol === "http2" ? "envoy-http" : "envoy-tcp";
      await until(`the way by ${path}`, () => fixture.pathInKernel(`${TURNING} . tcp . 80`), {
        wanted: (found) => found === path,
      });
    }
    await turn("http2");
    const watches: DoorWatch[] = [];
    {
      await using watching = new AsyncDisposableStack();
      for (let count = 0; count < 4; count++) {
        watches.push(watching.use(new DoorWatch(fixture.pod, { target: `${TURNING}:80`, protocol: "h2c" })));
      }
      for (let round = 0; round < ROUNDS / 2; round++) {
        for (const appProtocol of ["example.com/own", "http2"]) {
          await turn(appProtocol);
          for (const watch of watches) {
            const { length } = watch.outcomes;
            await until("two more attempts", () => watch.outcomes.length, {
              wanted: (now) => now > length + 1,
            });
          }
        }
      }
    }
    const outcomes = watches.flatMap((watch) => watch.outcomes);
    assertEquals(outcomes.filter((outcome) => outcome !== "backend-1"), []);
  });

  await t.step("a Service that Envoy does not know is not waited for, nor is an endpoint", async () => {
    const waited = async (): Promise<number> => await agent.metric("lightpath_opening_wait_seconds_count");
    const before = await waited();
    assert(before >= 4 * ROUNDS, `${before} openings waited for Envoy`);
    await fixture.manifests.write("new.yaml", [
      service("new", { clusterIPs: ["10.96.0.30"], ports: [{ name: "http", port: 80 }] }),
      slice("new", { addresses: fixture.addresses("ipv4", 0), ports: [{ name: "http", port: 8080 }] }),
    ]);
    await until("an answer", () => fixture.pod.who("10.96.0.30:80"), {
      wanted: (who) => who === "backend-1",
    });
    await fixture.manifests.write("new.yaml", [
      service("new", { clusterIPs: ["10.96.0.30"], ports: [{ name: "http", port: 80 }] }),
      slice("new", { addresses: fixture.addresses("ipv4", 1), ports: [{ name: "http", port: 8080 }] }),
    ]);
    await until("the other", () => fixture.pod.who("10.96.0.30:80"), {
      wanted: (who) => who === "backend-2",
    });
    assertEquals(await waited(), before);
    assertEquals(await agent.metric("lightpath_opening_wait_seconds_count", { result: "timeout" }), 0);
  });

  assertEquals(await agent.metric("lightpath_nft_transactions_total", { result: "failed" }), 0);
  assertEquals(await agent.stop(), 0);
});

testUnless("kernel and Envoy in order, eager", { unavailable: fixtureUnavailable }, async () => {
  await using fixture = await NodeFixture.create();
  await fixture.lab.outside.run([NFT, REFUSE_THE_REST]);
  for (const file of ["service.yaml", "slice.yaml"] as const) await write(fixture, file);
  const agent = await fixture.startAgent("--mode=eager").ready();
  // Each time a new Cluster: nothing asks for one on demand.
  assertEquals(await faultsWhileReopening(fixture, "service.yaml"), []);
  assertEquals(await agent.metric("lightpath_opening_wait_seconds_count", { result: "timeout" }), 0);
  assertEquals(await agent.stop(), 0);
});
