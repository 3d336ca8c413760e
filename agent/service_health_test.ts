import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { silentLogger } from "./log.ts";
import type { HealthCheck, NodeAddresses, Problem } from "./model/mod.ts";
import { ServiceHealth } from "./service_health.ts";

const LOOPBACK: NodeAddresses = { IPv4: ["127.0.0.1"], IPv6: ["::1"] };

/** Servers on this machine's loopback addresses, with the problems that stand. */
class Fixture implements AsyncDisposable {
  readonly problems = new Map<string, Problem>();
  isHealthy = true;
  readonly health = new ServiceHealth({
    nodeAddresses: LOOPBACK,
    proxyHealthy: () => this.isHealthy,
    problems: {
      report: ({ problemsAppeared, problemsResolved }) => {
        for (const { object } of problemsResolved) this.problems.delete(object);
        for (const problem of problemsAppeared) this.problems.set(problem.object, problem);
      },
    },
    logger: silentLogger,
    retryMs: 10,
  });

  /** Each `name port endpoints`; none: it went. Families as in `endpoints`. */
  async update(
    name: string,
    port?: number,
    localEndpoints: HealthCheck["localEndpoints"] = { IPv4: 1 },
  ): Promise<void> {
    const check = port === undefined ? undefined : { namespace: "default", name, port, localEndpoints };
    this.health.update(new Map([[`default/${name}`, check]]));
    await this.health.settled();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.health[Symbol.asyncDispose]();
  }
}

/** Two ports that nobody listens on. */
function freePorts(): readonly [number, number] {
  const listeners = [0, 0].map((port) => Deno.listen({ hostname: "0.0.0.0", port }));
  const [first = 0, second = 0] = listeners.map(({ addr }) => (addr as Deno.NetAddr).port);
  for (const listener of listeners) listener.close();
  return [first, second];
}

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly headers: Headers;
}

/** What is answered there; undefined when nobody listens. */
async function ask(port: number, host = "127.0.0.1", method = "GET"): Promise<Answer | undefined> {
  let response: Response;
  try {
    response = await fetch(`http://${host}:${port}/any/path`, { method });
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
  return { status: response.status, text: await response.text(), headers: response.headers };
}

/** The first line of what is answered to these words. */
async function say(port: number, words: string): Promise<string | undefined> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  await connection.write(new TextEncoder().encode(words));
  return new TextDecoder().decode((await connection.readable.getReader().read()).value).split("\r\n")[0];
}

async function statusAt(port: number, host?: string): Promise<number | undefined> {
  return (await ask(port, host))?.status;
}

Deno.test("ServiceHealth answers whoever asks, whatever host a load balancer thinks this is", async () => {
  const [port] = freePorts();
  await using fixture = new Fixture();
  await fixture.update("echo", port);
  // HAProxy's `option httpchk` names no host unless it is told one.
  for (const words of ["GET / HTTP/1.0\r\n", "OPTIONS / HTTP/1.0\r\n"]) {
    assertEquals(await say(port, `${words}\r\n`), "HTTP/1.0 200 OK", words);
  }
  for (const host of ["", "[fe80::1%25eth0]:80", "lb:99999", "a b"]) {
    const words = `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;
    assertEquals(await say(port, words), "HTTP/1.1 200 OK", words);
  }
});

Deno.test("ServiceHealth answers what kube-proxy answers, whatever the path and the method", async () => {
  const [port] = freePorts();
  await using fixture = new Fixture();
  await fixture.update("echo", port, { IPv4: 2 });
  const answer = await ask(port);
  // As kube-proxy v1.36 prints it.
  const body =
    '{\n\t"service": {\n\t\t"namespace": "default",\n\t\t"name": "echo"\n\t},\n\t"localEndpoints": 2,\n\t' +
    '"serviceProxyHealthy": true\n}';
  assertEquals([answer?.status, answer?.text], [200, body]);
  assertEquals(
    ["content-type", "x-content-type-options", "x-load-balancing-endpoint-weight"].map((name) =>
      answer?.headers.get(name)
    ),
    ["application/json", "nosniff", "2"],
  );
  assertEquals((await ask(port, "127.0.0.1", "POST"))?.status, 200);
});

Deno.test("ServiceHealth sends load balancers away without endpoints here, or when the node does not keep up", async () => {
  const [port] = freePorts();
  await using fixture = new Fixture();
  await fixture.update("echo", port, { IPv4: 0 });
  assertEquals(await statusAt(port), 503);
  await fixture.update("echo", port, { IPv4: 1 });
  assertEquals(await statusAt(port), 200);
  fixture.isHealthy = false;
  const answer = await ask(port);
  assertEquals([answer?.status, JSON.parse(answer?.text ?? "").serviceProxyHealthy], [503, false]);
  assertEquals(answer?.headers.get("x-load-balancing-endpoint-weight"), "1");
});

Deno.test("ServiceHealth counts each family for itself, and listens in no other", async () => {
  const [port, other] = freePorts();
  await using fixture = new Fixture();
  await fixture.update("dual", port, { IPv4: 1, IPv6: 0 });
  assertEquals([await statusAt(port), await statusAt(port, "[::1]")], [200, 503]);
  await fixture.update("single", other, { IPv6: 1 });
  assertEquals([await statusAt(other), await statusAt(other, "[::1]")], [undefined, 200]);
});

Deno.test("ServiceHealth follows ports, Services and addresses as they come and go", async () => {
  const [first, second] = freePorts();
  await using fixture = new Fixture();
  await fixture.update("echo", first);
  await fixture.update("echo", second);
  assertEquals([await statusAt(first), await statusAt(second)], [undefined, 200]);
  fixture.health.setNodeAddresses({ IPv4: ["127.0.0.2"], IPv6: [] });
  await fixture.health.settled();
  assertEquals([await statusAt(second), await statusAt(second, "127.0.0.2")], [undefined, 200]);
  await fixture.update("echo");
  assertEquals(await statusAt(second, "127.0.0.2"), undefined);
  assertEquals([...fixture.problems], []);
});

Deno.test("ServiceHealth passes a port from one Service to another, in one batch", async () => {
  const [port] = freePorts();
  await using fixture = new Fixture();
  await fixture.update("old", port);
  fixture.health.update(
    new Map([
      ["default/new", { namespace: "default", name: "new", port, localEndpoints: { IPv4: 3 } }],
      ["default/old", undefined],
    ]),
  );
  await fixture.health.settled();
  assertEquals(JSON.parse((await ask(port))?.text ?? ""), {
    service: { namespace: "default", name: "new" },
    localEndpoints: 3,
    serviceProxyHealthy: true,
  });
  assertEquals([...fixture.problems], []);
});

Deno.test("ServiceHealth names a port that is in use, serves the others, and takes it when it is free", async () => {
  const [port, other] = freePorts();
  await using fixture = new Fixture();
  const squatter = Deno.listen({ hostname: "127.0.0.1", port });
  try {
    await fixture.update("echo", port);
    await fixture.update("fine", other);
    assertEquals(await statusAt(other), 200);
    const problem = fixture.problems.get("Service default/echo");
    assertEquals(problem?.kind, "health-check-port");
    assertMatch(
      problem?.message ?? "",
      new RegExp(`cannot listen on 127\\.0\\.0\\.1:${port} .*: the port is in use`),
    );
    assertEquals(fixture.health.problemOf("default/echo"), problem);
  } finally {
    squatter.close();
  }
  const resolved = Promise.withResolvers<void>();
  const poll = setInterval(() => fixture.problems.size === 0 && resolved.resolve(), 5);
  await resolved.promise;
  clearInterval(poll);
  assertEquals(await statusAt(port), 200);
});

Deno.test("ServiceHealth answers for one of two Services that want a port, and says so of the other", async () => {
  const [port] = freePorts();
  await using fixture = new Fixture();
  await fixture.update("b", port);
  await fixture.update("a", port);
  assertEquals(JSON.parse((await ask(port))?.text ?? "").service.name, "a");
  assertEquals([...fixture.problems.keys()], ["Service default/b"]);
  assertMatch(
    fixture.health.problemOf("default/b")?.message ?? "",
    /Service default\/a is answered for already/,
  );
  await fixture.update("a");
  assertEquals(JSON.parse((await ask(port))?.text ?? "").service.name, "b");
  assertEquals([...fixture.problems], []);
});

Deno.test("ServiceHealth that ends while it has a port to try again leaves nothing behind", async () => {
  const [port] = freePorts();
  const squatter = Deno.listen({ hostname: "127.0.0.1", port });
  {
    await using fixture = new Fixture();
    await fixture.update("echo", port);
  }
  squatter.close();
  assertEquals(await statusAt(port), undefined);
});
