/**
 * An endpoint whose packets vanish, as when its node is gone: the whole program gives it up after `upstream-connect-timeout` and
 * goes to the next. How long that took, Envoy says itself, in its access log.
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { testUnless } from "../scripts/lab/testing.ts";
import { assertLasted } from "../xds/testing/assert_lasted.ts";
import { service, slice } from "./testing/manifests.ts";
import { fixtureUnavailable, NFT, NodeFixture } from "./testing/node_fixture.ts";
import { until } from "./testing/until.ts";

const MIXED = "10.96.0.10";
const HOLE = "10.96.0.11";
const SETTING = "config.lightpath.cloud/";
/** Of HTTP, of TCP. Far from each other and from the default of 5 s. */
const [CONNECT_MS, CONNECT_TCP_MS] = [300, 600];

testUnless("an endpoint whose packets vanish", { unavailable: fixtureUnavailable }, async (t) => {
  await using fixture = await NodeFixture.create();
  const { manifests, pod, backends } = fixture;
  const hole = backends[1].namespace;
  await hole.run([NFT, "add table inet hole"]);
  await hole.run([NFT, "add chain inet hole input { type filter hook input priority 0; policy drop; }"]);
  const serve = (name: string, clusterIP: string, addresses: readonly string[]): Promise<void> =>
    manifests.write(`${name}.yaml`, [
      service(name, {
        clusterIPs: [clusterIP],
        ports: [{ name: "http", port: 80 }, { name: "echo", port: 9000 }],
        annotations: {
          [`${SETTING}upstream-connect-timeout`]: `${CONNECT_MS}ms`,
          [`${SETTING}echo-upstream-connect-timeout`]: `${CONNECT_TCP_MS}ms`,
          [`${SETTING}lb-policy`]: "ROUND_ROBIN",
          // So that it is tried again and again.
          [`${SETTING}outlier-detection-max-ejection-percent`]: "0",
        },
      }),
      slice(name, { addresses, ports: [{ name: "http", port: 8080 }, { name: "echo", port: 9000 }] }),
    ]);
  await serve("mixed", MIXED, fixture.addresses("ipv4"));
  await serve("hole", HOLE, fixture.addresses("ipv4", 1));
  const agent = await fixture.startAgent().ready();

  /** What Envoy says of so many requests or connections of a port. */
  async function logged(name: string, count: number): Promise<readonly LogLine[]> {
    const lines = (): readonly LogLine[] =>
      agent.accessLog.map(logLine).filter(({ service }) => service === name);
    return await until(`${count} lines of ${name}`, () => Promise.resolve(lines()), {
      wanted: ({ length }) => length >= count,
    });
  }

  await t.step("a request goes to the next endpoint when the time is over", async () => {
    for (let request = 0; request < 6; request++) assertEquals(await pod.who(`${MIXED}:80`), "backend-1");
    const lines = await logged("default/mixed:http", 6);
    const again = lines.filter(({ attempts }) => attempts > 1);
    assert(again.length >= 2, JSON.stringify(lines));
    for (const { attempts, status, duration } of again) {
      assertEquals([attempts, status], [2, 200]);
      assertLasted(duration, CONNECT_MS);
    }
  });

  await t.step("a TCP connection too", async () => {
    // Each of Envoy's two workers takes turns for itself.
    for (let count = 0; count < 4; count++) {
      assertEquals(await pod.who(`${MIXED}:9000`, "tcp"), "backend-1");
    }
    const lines = await logged("default/mixed:echo", 4);
    const again = lines.filter(({ attempts }) => attempts > 1);
    assert(again.length > 0, JSON.stringify(lines));
    for (const { attempts, duration } of again) assertLasted(duration, (attempts - 1) * CONNECT_TCP_MS);
  });

  await t.step(
    "where there is no other, a request is given up after as many times as it may be tried",
    async () => {
      assertEquals(await pod.who(`${HOLE}:80`), "status 503");
      const [line] = await logged("default/hole:http", 1);
      assertEquals([line?.attempts, line?.status], [3, 503]);
      assert(line?.flags.split(",").includes("UF"), line?.flags);
      assertLasted(line?.duration, 3 * CONNECT_MS);
    },
  );
  assertEquals(await agent.stop(), 0);
});

/** The part of a line of the access log that is looked at. */
interface LogLine {
  readonly service: string;
  readonly attempts: number;
  readonly status: number;
  readonly flags: string;
  /** Milliseconds. */
  readonly duration: number;
}

function logLine(fields: Readonly<Record<string, unknown>>): LogLine {
  return {
    service: String(fields["service"]),
    attempts: Number(fields["attempts"]),
    status: Number(fields["status"]),
    flags: String(fields["flags"]),
    duration: Number(fields["duration"]),
  };
}
