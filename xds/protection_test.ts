/**
 * What a real Envoy keeps off endpoints: those that fail are left out for a while, and what exceeds a limit is refused.
 * @module
 */
import { assertEquals } from "@std/assert/equals";
import { CONFIG_PREFIX } from "../agent/model/mod.ts";
import { type Backend, greeting, httpBackend, slicesFor, tcpBackend } from "./testing/backends.ts";
import { envoyTest, get } from "./testing/envoy_case.ts";
import { EnvoyFixture, until } from "./testing/envoy_fixture.ts";

/** Serves `one` at 127.0.0.11 with these annotations, and `two` at 127.0.0.12 without. */
async function startWith(
  kind: "http" | "tcp",
  backends: readonly Backend[],
  annotations: Readonly<Record<string, string>>,
): Promise<EnvoyFixture> {
  const fixture = await EnvoyFixture.start([]);
  const prefixed = Object.entries(annotations).map(([key, text]) => [`${CONFIG_PREFIX}${key}`, text]);
  fixture.apply(
    fixture.service("one", 11, { kind, overrides: { annotations: Object.fromEntries(prefixed) } }),
    ...slicesFor("one", kind, backends),
    fixture.service("two", 12, { kind }),
    ...slicesFor("two", kind, backends),
  );
  return fixture;
}

/** A backend that fails as many of its next requests as it is told, and counts. */
function fallible(name: string, status = 503): Backend & { failures: number; requests: number } {
  const state = { failures: 0, requests: 0 };
  const backend = httpBackend(name, () => {
    state.requests++;
    if (state.failures === 0) return undefined;
    state.failures--;
    return new Response(name, { status });
  });
  return Object.assign(state, backend);
}

/** Sends requests one after the other; how many failed. */
async function failuresOf(fixture: EnvoyFixture, count: number): Promise<number> {
  let failures = 0;
  for (let request = 0; request < count; request++) {
    if (!(await get(fixture, 11)).startsWith("200")) failures++;
  }
  return failures;
}

/** How many endpoints of `one` are left out. */
function leftOut(fixture: EnvoyFixture): Promise<number> {
  return fixture.stat("cluster.default/one_http.outlier_detection.ejections_active");
}

for (const [what, status] of [["5xx", 500], ["502, 503 and 504", 503]] as const) {
  envoyTest(`of two endpoints one is left out after five ${what} in a row, and not after four`, async () => {
    await using good = fallible("good");
    await using bad = fallible("bad", status);
    await using fixture = await startWith("http", [good, bad], {
      "lb-policy": "ROUND_ROBIN",
      "retry-enabled": "false",
    });
    bad.failures = 4;
    assertEquals(await failuresOf(fixture, 20), 4);
    assertEquals(await leftOut(fixture), 0);
    bad.failures = 5;
    await until("it is left out", async () => {
      await failuresOf(fixture, 2);
      return await leftOut(fixture) === 1;
    });
    assertEquals(bad.failures, 0);
    const { requests } = bad;
    assertEquals(await failuresOf(fixture, 40), 0);
    assertEquals(bad.requests, requests);
  });
}

envoyTest("an endpoint that was left out comes back", async () => {
  await using good = fallible("good");
  await using bad = fallible("bad");
  await using fixture = await startWith("http", [good, bad], {
    "retry-enabled": "false",
    "outlier-detection-interval": "100ms",
    "outlier-detection-base-ejection-time": "1s",
  });
  bad.failures = 5;
  await until("it is left out", async () => {
    await failuresOf(fixture, 2);
    return await leftOut(fixture) === 1;
  });
  const { requests } = bad;
  await until("it is used again", async () => {
    assertEquals(await failuresOf(fixture, 2), 0);
    return bad.requests > requests;
  });
  assertEquals(await leftOut(fixture), 0);
});

envoyTest("the only endpoint is used even while it is left out, and 0 percent leaves none out", async () => {
  await using only = fallible("only");
  await using fixture = await startWith("http", [only], { "retry-enabled": "false" });
  only.failures = 8;
  assertEquals(await failuresOf(fixture, 8), 8);
  await until("it is left out", async () => await leftOut(fixture) === 1);
  const { requests } = only;
  assertEquals(await failuresOf(fixture, 8), 0);
  assertEquals(only.requests, requests + 8);

  const annotations = {
    [`${CONFIG_PREFIX}outlier-detection-max-ejection-percent`]: "0",
    [`${CONFIG_PREFIX}retry-enabled`]: "false",
  };
  fixture.apply(fixture.service("one", 11, { overrides: { annotations } }));
  await until("the new Cluster is in use", async () => await leftOut(fixture) === 0);
  only.failures = 20;
  assertEquals(await failuresOf(fixture, 20), 20);
  assertEquals(await leftOut(fixture), 0);
});

/** A backend whose answers begin at once and end on command. */
function holding(name: string): Backend & { release(): void } {
  let released = Promise.withResolvers<void>();
  const backend = httpBackend(name, () => {
    const { promise } = released;
    const body = new ReadableStream({
      async start(controller): Promise<void> {
        controller.enqueue(new TextEncoder().encode(name));
        await promise;
        controller.close();
      },
    });
    return new Response(body);
  });
  const release = (): void => {
    released.resolve();
    released = Promise.withResolvers();
  };
  return {
    ...backend,
    release,
    [Symbol.asyncDispose]: async () => {
      release();
      await backend[Symbol.asyncDispose]();
    },
  };
}

envoyTest("a request beyond the limit is refused at once, another Service's is not", async () => {
  await using backend = holding("a");
  await using fixture = await startWith("http", [backend], {
    "circuit-breaker-default-max-requests": "2",
    "circuit-breaker-default-track-remaining": "true",
  });
  const ask = (host: number): Promise<Response> => fetch(`http://127.0.0.${host}:${fixture.httpPort}/`);
  const held = [await ask(11), await ask(11)];
  assertEquals(held.map(({ status }) => status), [200, 200]);
  for (let request = 0; request < 3; request++) {
    const refused = await ask(11);
    assertEquals([refused.status, refused.headers.get("x-envoy-overloaded")], [503, "true"]);
    await refused.body?.cancel();
  }
  const stats = await fixture.statsOf("default/one_http");
  assertEquals(
    [stats.get("upstream_rq_active_overflow"), stats.get("circuit_breakers.default.remaining_rq")],
    [3, 0],
  );
  const other = await Promise.all([ask(12), ask(12), ask(12), ask(12)]);
  assertEquals(other.map(({ status }) => status), [200, 200, 200, 200]);

  backend.release();
  for (const response of [...held, ...other]) assertEquals(await response.text(), "a");
  await until("there is room again", async () => {
    const response = await ask(11);
    backend.release();
    await response.text();
    return response.status === 200;
  });
});

envoyTest(
  "requests beyond the limit of connections wait, so many as may, and the next is refused",
  async () => {
    await using backend = holding("a");
    await using fixture = await startWith("http", [backend], {
      "circuit-breaker-default-max-connections": "1",
      "circuit-breaker-default-max-pending-requests": "2",
    });
    const url = `http://127.0.0.11:${fixture.httpPort}/`;
    const held = await fetch(url);
    const waiting = [fetch(url), fetch(url)];
    const pending = (): Promise<number> =>
      fixture.stat("cluster.default/one_http.upstream_rq_pending_active");
    await until("both wait", async () => await pending() === 2);
    // If it is not refused it waits as they do.
    const refused = await fetch(url, { signal: AbortSignal.timeout(5_000) });
    assertEquals([refused.status, refused.headers.get("x-envoy-overloaded")], [503, "true"]);
    await refused.body?.cancel();
    assertEquals(await fixture.stat("cluster.default/one_http.upstream_rq_pending_overflow"), 1);
    assertEquals(await fixture.stat("cluster.default/one_http.upstream_cx_active"), 1);
    for (const response of [held, ...waiting]) {
      const { status, body } = await response;
      backend.release();
      assertEquals([status, await new Response(body).text()], [200, "a"]);
    }
  },
);

envoyTest(
  "a TCP connection beyond the limit is closed at once, and taken when another has ended",
  async () => {
    await using backend = tcpBackend("a");
    await using fixture = await startWith("tcp", [backend], {
      "circuit-breaker-default-max-connections": "2",
    });
    {
      using held = new DisposableStack();
      for (let count = 0; count < 2; count++) {
        const connection = held.use(await Deno.connect({ hostname: "127.0.0.11", port: fixture.tcpPort }));
        assertEquals(await connection.read(new Uint8Array(8)), 2);
      }
      assertEquals(await greeting("127.0.0.11", fixture.tcpPort), undefined);
      assertEquals(await greeting("127.0.0.12", fixture.tcpPort), "a");
    }
    await until("there is room again", async () => await greeting("127.0.0.11", fixture.tcpPort) === "a");
  },
);
