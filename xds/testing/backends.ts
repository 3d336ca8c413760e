/**
 * Endpoints to connect to: HTTP/1.1 and HTTP/2 without TLS, and a TCP greeter; on loopback, for tests.
 * @module
 */
import { fail } from "@std/assert/fail";
import { type EndpointSlice } from "../../agent/kube/objects.ts";
import { endpoint, slice } from "../../agent/model/testing/objects.ts";

/** Something that answers with its name. */
export interface Backend extends AsyncDisposable {
  readonly name: string;
  readonly port: number;
}

/** Answers every HTTP request as `respond` says, else with its name. */
export function httpBackend(
  name: string,
  respond: (request: Request) => Response | undefined | Promise<Response | undefined> = () => undefined,
): Backend {
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => await respond(request) ?? new Response(name, { headers: { "x-backend": name } }),
  );
  return { name, port: server.addr.port, [Symbol.asyncDispose]: () => server.shutdown() };
}

/** Takes HTTP requests, and answers none of them until it is disposed of. */
export function silentBackend(name: string, onRequest: (request: Request) => void = () => {}): Backend {
  const { promise, resolve } = Promise.withResolvers<void>();
  const backend = httpBackend(name, async (request) => {
    onRequest(request);
    await promise;
    return undefined;
  });
  return {
    ...backend,
    [Symbol.asyncDispose]: async () => {
      resolve();
      await backend[Symbol.asyncDispose]();
    },
  };
}

/** Greets every TCP connection with its name and then echoes. */
export function tcpBackend(name: string): Backend {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const connections = new Set<Promise<void>>();
  const accepting = (async () => {
    for await (const connection of listener) {
      const served = greetAndEcho(connection, name).finally(() => connections.delete(served));
      connections.add(served);
    }
  })();
  return {
    name,
    port: listener.addr.port,
    [Symbol.asyncDispose]: async () => {
      listener.close();
      await accepting;
      await Promise.all(connections);
    },
  };
}

async function greetAndEcho(connection: Deno.TcpConn, name: string): Promise<void> {
  try {
    await connection.write(new TextEncoder().encode(`${name}\n`));
    await connection.readable.pipeTo(connection.writable);
  } catch (error) {
    // The peer may be gone before it was greeted.
    if (!(error instanceof Deno.errors.ConnectionReset || error instanceof Deno.errors.BrokenPipe)) {
      throw error;
    }
  }
}

/** The slice of a Service whose endpoints are these backends; a slice has one port, so one slice for each. */
export function slicesFor(
  serviceName: string,
  portName: string,
  backends: readonly Backend[],
): EndpointSlice[] {
  return backends.map(({ port }, index) =>
    slice({
      name: `${serviceName}-${index}`,
      serviceName,
      ports: [{ name: portName, protocol: "TCP", port }],
      endpoints: [endpoint("127.0.0.1")],
    })
  );
}

/** What a TCP greeter says to a new connection; undefined when the connection was closed without a word. */
export async function greeting(host: string, port: number): Promise<string | undefined> {
  using connection = await Deno.connect({ hostname: host, port });
  const buffer = new Uint8Array(256);
  try {
    const length = await connection.read(buffer);
    return length === null ? undefined : new TextDecoder().decode(buffer.subarray(0, length)).trim();
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionReset) return undefined;
    return fail(String(error));
  }
}
