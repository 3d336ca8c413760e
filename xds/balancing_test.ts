/**
 * Which endpoint a real Envoy chooses, by `lb-policy` and `hash-on`.
 *
 * Hashing is about keys: each key has its endpoint. Of forty keys on five endpoints some may move when an endpoint comes or
 * goes, for the table that maps them is built anew (a few in a hundred with MAGLEV); most may not.
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { delay } from "@std/async/delay";
import { CONFIG_PREFIX } from "../agent/model/mod.ts";
import { type Backend, httpBackend, slicesFor, tcpBackend } from "./testing/backends.ts";
import { envoyTest } from "./testing/envoy_case.ts";
import { EnvoyFixture } from "./testing/envoy_fixture.ts";
import { getWithHeaders, greetingFrom } from "./testing/http_clients.ts";

const KEYS = Array.from({ length: 40 }, (_, index) => index);

/** Starts an Envoy with a Service at 127.0.0.11 that has these annotations. */
async function startWith(
  kind: "http" | "tcp",
  backends: readonly Backend[],
  annotations: Readonly<Record<string, string>>,
): Promise<EnvoyFixture> {
  const fixture = await EnvoyFixture.start([]);
  const prefixed = Object.entries(annotations).map(([key, text]) => [`${CONFIG_PREFIX}${key}`, text]);
  const overrides = { annotations: Object.fromEntries(prefixed) };
  fixture.apply(fixture.service("one", 11, { kind, overrides }), ...slicesFor("one", kind, backends));
  return fixture;
}

/** The name of the backend that answers a request with these headers, sent from that address. */
async function answerTo(
  fixture: EnvoyFixture,
  headers: readonly string[],
  localAddress = "127.0.0.1",
): Promise<string> {
  const answer = await getWithHeaders("127.0.0.11", fixture.httpPort, headers, { localAddress });
  assert(answer.startsWith("200 "), answer);
  return answer.slice("200 ".length);
}

/** Which backend answers each key. */
async function answers(ask: (key: number) => Promise<string | undefined>): Promise<(string | undefined)[]> {
  const names: (string | undefined)[] = [];
  for (const key of KEYS) names.push(await ask(key));
  return names;
}

/** Holds a hashing policy to its promise: keys spread, each stays, and an endpoint that goes or comes moves few others. */
async function assertKeysStay(
  fixture: EnvoyFixture,
  kind: "http" | "tcp",
  { backends, ask }: {
    readonly backends: readonly Backend[];
    readonly ask: (key: number) => Promise<string | undefined>;
  },
): Promise<void> {
  const before = await answers(ask);
  assert(new Set(before).size >= 4, `forty keys are on ${new Set(before).size} of five endpoints`);
  assertEquals(await answers(ask), before);

  const [gone] = backends;
  fixture.reduce([{ type: "delete", kind: "EndpointSlice", namespacedName: "default/one-0" }]);
  await fixture.settled();
  const without = await answers(ask);
  assert(!without.includes(gone?.name));
  const moved = before.filter((name, key) => name !== gone?.name && name !== without[key]);
  assert(moved.length <= 5, `${moved.length} keys moved that need not`);

  fixture.apply(...slicesFor("one", kind, backends).slice(0, 1));
  await fixture.settled();
  assertEquals(await answers(ask), before);
}

envoyTest("MAGLEV keeps each value of a header on one endpoint, while others go and come", async () => {
  await using stack = new AsyncDisposableStack();
  const backends = KEYS.slice(0, 5).map((key) => stack.use(httpBackend(`b${key}`)));
  await using fixture = await startWith("http", backends, {
    "lb-policy": "MAGLEV",
    "hash-on": "header:X-User",
  });
  const ask = (key: number): Promise<string> => answerTo(fixture, ["x-user", `user-${key}`]);
  await assertKeysStay(fixture, "http", { backends, ask });
});

envoyTest("MAGLEV keeps each value of a cookie on one endpoint, while others go and come", async () => {
  await using stack = new AsyncDisposableStack();
  const backends = KEYS.slice(0, 5).map((key) => stack.use(httpBackend(`b${key}`)));
  await using fixture = await startWith("http", backends, { "lb-policy": "MAGLEV", "hash-on": "cookie:sid" });
  const ask = (key: number): Promise<string> =>
    answerTo(fixture, ["cookie", `theme=dark; sid=session-${key}`]);
  await assertKeysStay(fixture, "http", { backends, ask });
});

envoyTest(
  "MAGLEV keeps a client on one endpoint whatever x-forwarded-for claims, while others go and come",
  async () => {
    await using stack = new AsyncDisposableStack();
    const backends = KEYS.slice(0, 5).map((key) => stack.use(httpBackend(`b${key}`)));
    await using fixture = await startWith("http", backends, { "lb-policy": "MAGLEV" });
    let claims = 0;
    const ask = (key: number): Promise<string> =>
      answerTo(fixture, ["x-forwarded-for", `192.0.2.${claims++ % 250}`], `127.0.1.${key + 1}`);
    await assertKeysStay(fixture, "http", { backends, ask });
  },
);

envoyTest(
  "MAGLEV keeps the TCP connections of a client on one endpoint, while others go and come",
  async () => {
    await using stack = new AsyncDisposableStack();
    const backends = KEYS.slice(0, 5).map((key) => stack.use(tcpBackend(`b${key}`)));
    await using fixture = await startWith("tcp", backends, { "lb-policy": "MAGLEV" });
    const ask = (key: number): Promise<string | undefined> =>
      greetingFrom(`127.0.1.${key + 1}`, "127.0.0.11", fixture.tcpPort);
    await assertKeysStay(fixture, "tcp", { backends, ask });
  },
);

envoyTest("RING_HASH keeps each value on one endpoint, and RANDOM does not", async () => {
  await using stack = new AsyncDisposableStack();
  const backends = KEYS.slice(0, 5).map((key) => stack.use(httpBackend(`b${key}`)));
  await using fixture = await startWith("http", backends, {
    "lb-policy": "RING_HASH",
    "hash-on": "header:x-user",
  });
  const ask = (): Promise<string> => answerTo(fixture, ["x-user", "anna"]);
  assertEquals(new Set(await answers(ask)).size, 1);
  // The annotation is changed: the Cluster follows, with its connections.
  fixture.apply(fixture.service("one", 11, {
    overrides: { annotations: { [`${CONFIG_PREFIX}lb-policy`]: "RANDOM" } },
  }));
  await fixture.settled();
  assert(new Set(await answers(ask)).size > 1);
});

envoyTest("ROUND_ROBIN gives each endpoint the same number of requests", async () => {
  await using stack = new AsyncDisposableStack();
  const counts = [0, 0, 0];
  const backends = counts.map((_, index) =>
    stack.use(httpBackend(`b${index}`, () => {
      counts[index]! += 1;
      return undefined;
    }))
  );
  await using fixture = await startWith("http", backends, { "lb-policy": "ROUND_ROBIN" });
  for (let request = 0; request < 60; request++) await answerTo(fixture, []);
  assertEquals(counts, [20, 20, 20]);
});

/** How many of 300 requests, twenty at a time, the endpoint gets that is faster than two others. */
async function requestsOfTheFast(lbPolicy: string): Promise<number> {
  await using stack = new AsyncDisposableStack();
  let fast = 0;
  const backends = [
    stack.use(httpBackend("slow-1", () => delay(100).then(() => undefined))),
    stack.use(httpBackend("slow-2", () => delay(100).then(() => undefined))),
    stack.use(httpBackend("fast", () => {
      fast++;
      return undefined;
    })),
  ];
  await using fixture = await startWith("http", backends, { "lb-policy": lbPolicy });
  let started = 0;
  await Promise.all(Array.from({ length: 20 }, async () => {
    while (started++ < 300) await answerTo(fixture, []);
  }));
  return fast;
}

envoyTest("LEAST_REQUEST prefers the endpoint that is done sooner, ROUND_ROBIN does not", async () => {
  const [leastRequest, roundRobin] = [
    await requestsOfTheFast("LEAST_REQUEST"),
    await requestsOfTheFast("ROUND_ROBIN"),
  ];
  assert(leastRequest > 125, `LEAST_REQUEST: ${leastRequest} of 300`);
  assert(roundRobin <= 105, `ROUND_ROBIN: ${roundRobin} of 300`);
});
