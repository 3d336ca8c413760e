/**
 * How many retries a real Envoy makes at most at once when every endpoint fails: counted at the endpoints.
 *
 * Each first try is answered with 503, all at the same moment; what is tried again is answered with nothing, so that it stays
 * under way and what counts is how much may be.
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { type Backend, httpBackend, slicesFor } from "./testing/backends.ts";
import { configured, envoyTest, get } from "./testing/envoy_case.ts";
import { EnvoyFixture, until } from "./testing/envoy_fixture.ts";

/** Endpoints that together take so many first tries, fail them all at once, and keep every retry waiting. */
class FailingTogether implements AsyncDisposable {
  readonly backends: readonly Backend[];
  attempts = 0;
  readonly #firstTries: number;
  readonly #allAreThere = Promise.withResolvers<void>();
  readonly #isOver = Promise.withResolvers<void>();

  constructor(firstTries: number) {
    this.#firstTries = firstTries;
    this.backends = ["a", "b", "c"].map((name) => httpBackend(name, () => this.#answer()));
  }

  async #answer(): Promise<Response> {
    this.attempts++;
    if (this.attempts === this.#firstTries) this.#allAreThere.resolve();
    await (this.attempts <= this.#firstTries ? this.#allAreThere : this.#isOver).promise;
    return new Response("fails", { status: 503 });
  }

  /** Answers what was kept waiting. */
  release(): void {
    this.#isOver.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.backends.map((backend) => backend[Symbol.asyncDispose]()));
  }
}

/** How many retries are under way at once when so many requests fail together. */
async function retriesAtOnce(
  settings: Readonly<Record<string, string>>,
  requests: number,
): Promise<number> {
  await using endpoints = new FailingTogether(requests);
  await using fixture = await EnvoyFixture.start([]);
  fixture.apply(configured(fixture, "one", 11, settings), ...slicesFor("one", "http", endpoints.backends));
  await fixture.settled();
  let refused = 0;
  const answers = Array.from({ length: requests }, async () => {
    assertEquals(await get(fixture, 11), "503 fails");
    refused++;
  });
  // Every request is either told of its failure or has a retry at an endpoint.
  await until("it is settled", () => refused + endpoints.attempts - requests === requests);
  const retries = endpoints.attempts - requests;
  const stats = await fixture.statsOf("default/one_http");
  assertEquals([stats.get("upstream_rq_retry"), stats.get("upstream_rq_retry_overflow")], [retries, refused]);
  endpoints.release();
  await Promise.all(answers);
  return retries;
}

envoyTest("of few requests that fail together ten are tried again", async () => {
  assertEquals(await retriesAtOnce({}, 30), 10);
});

envoyTest("of many requests that fail together a fifth is tried again", async () => {
  const retries = await retriesAtOnce({}, 100);
  assert(retries >= 17 && retries <= 20, String(retries));
});

envoyTest("circuit-breaker-default-max-retries is how many are tried again at once", async () => {
  assertEquals(await retriesAtOnce({ "circuit-breaker-default-max-retries": "3" }, 30), 3);
});
