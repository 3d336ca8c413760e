/**
 * Which requests a real Envoy tries again, on which endpoint, and which never: endpoints here fail on command.
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { type Backend, httpBackend, slicesFor } from "./testing/backends.ts";
import { configured, envoyTest } from "./testing/envoy_case.ts";
import { EnvoyFixture } from "./testing/envoy_fixture.ts";
import { callGrpc, grpcBackend } from "./testing/grpc.ts";
import { echoOverWebSocket, webSocketEcho } from "./testing/web_sockets.ts";

/** Enough that a balancer that draws at random meets each of a few endpoints. */
const REQUESTS = 30;

/** An endpoint that answers everything the same way, and counts. */
class Counted implements AsyncDisposable {
  requests = 0;
  readonly backend: Backend;

  constructor(name: string, answer: () => Response) {
    this.backend = httpBackend(name, () => {
      this.requests++;
      return answer();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.backend[Symbol.asyncDispose]();
  }
}

const works = (): Counted => new Counted("works", () => new Response("works"));
const fails = (status = 503): Counted => new Counted("fails", () => new Response("fails", { status }));

/** Sends requests one after the other to a Service of these endpoints and settings; gives how often each answer came. */
async function askService(
  settings: Readonly<Record<string, string>>,
  endpoints: readonly Counted[],
  method: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<Readonly<Record<string, number>>> {
  await using fixture = await EnvoyFixture.start([]);
  fixture.apply(
    configured(fixture, "one", 11, settings),
    ...slicesFor("one", "http", endpoints.map(({ backend }) => backend)),
  );
  await fixture.settled();
  const answers: Record<string, number> = {};
  for (let request = 0; request < REQUESTS; request++) {
    const answer = await ask(fixture, method, headers);
    answers[answer] = (answers[answer] ?? 0) + 1;
  }
  return answers;
}

async function ask(
  fixture: EnvoyFixture,
  method: string,
  headers: Readonly<Record<string, string>>,
): Promise<string> {
  const response = await fetch(`http://127.0.0.11:${fixture.httpPort}/`, {
    method,
    headers,
    ...(method === "GET" || method === "HEAD" ? {} : { body: "x" }),
  });
  return `${response.status} ${await response.text()}`;
}

const sum = (endpoints: readonly Counted[]): number =>
  endpoints.reduce((sum, { requests }) => sum + requests, 0);

for (const method of ["GET", "PUT", "DELETE"]) {
  envoyTest(`a ${method} that an endpoint fails is answered by another`, async () => {
    await using bad = fails();
    await using worse = fails(500);
    await using good = works();
    assertEquals(await askService({}, [bad, worse, good], method), { "200 works": REQUESTS });
    assert(bad.requests > 0 && worse.requests > 0, "nothing had to be tried again");
  });
}

/** Without a retry policy of their own, and with one. */
const WITH_AND_WITHOUT_POLICY: readonly Readonly<Record<string, string>>[] = [{}, { "num-retries": "3" }];

envoyTest("a POST reaches one endpoint, once", async () => {
  for (const settings of WITH_AND_WITHOUT_POLICY) {
    await using bad = fails();
    await using good = works();
    const answers = await askService(settings, [bad, good], "POST");
    assertEquals(sum([bad, good]), REQUESTS, JSON.stringify(settings));
    assertEquals(answers["503 fails"], bad.requests);
    assert(bad.requests > 0);
  }
});

envoyTest(
  "server-sent events are like other requests: asked for by GET, tried again; by POST, not",
  async () => {
    const headers = { accept: "application/json, text/event-stream" };
    for (const settings of WITH_AND_WITHOUT_POLICY) {
      await using bad = fails();
      await using good = works();
      const answers = await askService(settings, [bad, good], "GET", headers);
      assertEquals(answers, { "200 works": REQUESTS });
      await using badToPosts = fails();
      await using goodToPosts = works();
      await askService(settings, [badToPosts, goodToPosts], "POST", headers);
      assertEquals(sum([badToPosts, goodToPosts]), REQUESTS, JSON.stringify(settings));
    }
  },
);

envoyTest("a WebSocket that an endpoint refuses is opened at another", async () => {
  await using bad = fails();
  await using good = webSocketEcho();
  await using fixture = await EnvoyFixture.start([]);
  fixture.apply(fixture.service("one", 11), ...slicesFor("one", "http", [bad.backend, good]));
  for (let request = 0; request < REQUESTS; request++) {
    assertEquals(await echoOverWebSocket("127.0.0.11", fixture.httpPort, { afterMs: 0 }), "hello");
  }
  assert(bad.requests > 0, "nothing had to be tried again");
});

envoyTest("a POST is tried again where the Service says so", async () => {
  await using bad = fails();
  await using good = works();
  const answers = await askService({ "retry-methods": "all" }, [bad, good], "POST");
  assertEquals(answers, { "200 works": REQUESTS });
  assert(bad.requests > 0);
});

envoyTest("nothing an endpoint answered is tried again where the Service says so", async () => {
  for (const settings of [{ "retry-enabled": "false" }, { "num-retries": "0" }]) {
    await using bad = fails();
    await using good = works();
    const answers = await askService(settings, [bad, good], "GET");
    assertEquals(sum([bad, good]), REQUESTS, JSON.stringify(settings));
    assertEquals(answers["503 fails"], bad.requests);
    assert(bad.requests > 0);
  }
});

envoyTest(
  "a connection that failed is tried again for a POST, with and without retries of answers",
  async () => {
    for (const settings of [{}, { "retry-enabled": "false" }] as Readonly<Record<string, string>>[]) {
      await using good = works();
      await using gone = works();
      await gone.backend[Symbol.asyncDispose]();
      assertEquals(await askService(settings, [good, gone], "POST"), { "200 works": REQUESTS });
    }
  },
);

envoyTest("num-retries is how often it is tried again, each time elsewhere", async () => {
  await using one = fails();
  await using two = fails();
  await using three = fails();
  const endpoints = [one, two, three];
  assertEquals(await askService({ "num-retries": "1" }, endpoints, "GET"), { "503 fails": REQUESTS });
  assertEquals(sum(endpoints), 2 * REQUESTS);
});

envoyTest("retry-on is what is tried again", async () => {
  await using bad = fails(500);
  await using good = works();
  const answers = await askService({ "retry-on": "gateway-error" }, [bad, good], "GET");
  assertEquals(answers["500 fails"], bad.requests);
  assertEquals(sum([bad, good]), REQUESTS);
});

envoyTest("an answer that carries one of the retriable headers is tried again", async () => {
  await using busy = new Counted("busy", () => new Response("busy", { headers: { "x-try-again": "1" } }));
  await using good = works();
  assertEquals(await askService({ "retriable-headers": "x-try-again" }, [busy, good], "GET"), {
    "200 works": REQUESTS,
  });
  assert(busy.requests > 0);
});

envoyTest("a gRPC call is tried again by its status, where the Service says so", async () => {
  await using bad = await grpcBackend({ status: 14 });
  await using good = await grpcBackend({ status: 0 });
  await using fixture = await EnvoyFixture.start([]);
  const slices = slicesFor("one", "h2c", [bad, good]);
  const call = (): Promise<string> => callGrpc("127.0.0.11", fixture.httpPort);
  fixture.apply(...slices);
  for (const settings of [...WITH_AND_WITHOUT_POLICY, { "retry-on": "unavailable" }]) {
    fixture.apply(configured(fixture, "one", 11, settings, "h2c"));
    await fixture.settled();
    const untouched = new Set<string>();
    for (let request = 0; request < REQUESTS; request++) untouched.add(await call());
    assertEquals([...untouched].sort(), ["0", "14"], JSON.stringify(settings));
  }
  const settings = { "retry-on": "unavailable", "retry-methods": "all" };
  fixture.apply(configured(fixture, "one", 11, settings, "h2c"));
  await fixture.settled();
  for (let request = 0; request < REQUESTS; request++) assertEquals(await call(), "0");
});
