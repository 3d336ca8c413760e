/**
 * An echo server to stand behind a Service: answers with who it is and what reached it.
 *
 * In: HTTP/1.1 and HTTP/2 with prior knowledge on one port, plain TCP on another, on all addresses.
 * Out: for HTTP a text of lines: `Hostname`, `RemoteAddr`, the request line, each header, the body's size.
 * `/status/503` answers with that status, `/delay/250ms` after that time. For TCP one line `Hostname: … RemoteAddr: …`
 * as soon as the connection is there, then every byte it gets.
 * Prints `listening` when both ports are open; ends at SIGTERM, connections included, as a pod does.
 *
 *     deno run -A scripts/lab/echo_server.ts --name pod-1 --http-port 8080 --tcp-port 9000
 * @module
 */

import { parseArgs } from "node:util";

/** Where to listen and what to be called. */
export interface EchoServerOptions {
  readonly name: string;
  /** 0 takes a free port. */
  readonly httpPort: number;
  readonly tcpPort: number;
  /** @default "::", which takes both families; "0.0.0.0" on a kernel without IPv6 */
  readonly hostname?: string;
}

/** A running server. Disposing it closes all of its connections. */
export interface EchoServer extends AsyncDisposable {
  readonly httpPort: number;
  readonly tcpPort: number;
}

/** Starts the server; both ports are open when it returns. */
export function startEchoServer(options: EchoServerOptions): EchoServer {
  const hostname = options.hostname ?? anyAddress();
  const abort = new AbortController();
  const http = Deno.serve(
    { hostname, port: options.httpPort, signal: abort.signal, onListen: () => {} },
    (request, { remoteAddr }) => answer(request, { name: options.name, remoteAddr }),
  );
  const listener = Deno.listen({ hostname, port: options.tcpPort });
  const connections = new Set<Deno.TcpConn>();
  const tcp = acceptTcp(listener, { name: options.name, connections });
  return {
    httpPort: http.addr.port,
    tcpPort: listener.addr.port,
    async [Symbol.asyncDispose](): Promise<void> {
      abort.abort();
      listener.close();
      for (const connection of connections) connection.close();
      await Promise.all([http.finished, tcp]);
    },
  };
}

/** What the server says to a request; the body is read to its end first. */
export async function answer(
  request: Request,
  from: { readonly name: string; readonly remoteAddr: Deno.NetAddr },
): Promise<Response> {
  const body = await request.bytes();
  const { pathname, search } = new URL(request.url);
  const delayMs = /^\/delay\/(\d+)ms$/.exec(pathname)?.[1];
  if (delayMs !== undefined) await new Promise((resolve) => setTimeout(resolve, Number(delayMs)));
  const status = Number(/^\/status\/([2-5]\d\d)$/.exec(pathname)?.[1] ?? 200);
  // HTTP/1.1 requires Host (RFC 9112, 3.2); in HTTP/2 clients and proxies send :authority in its place.
  const version = request.headers.has("host") ? "HTTP/1.1" : "HTTP/2";
  const lines = [
    `Hostname: ${from.name}`,
    `RemoteAddr: ${remoteText(from.remoteAddr)}`,
    `${request.method} ${pathname}${search} ${version}`,
    ...[...request.headers].map(([name, value]) => `${name}: ${value}`),
    `Body: ${body.length} bytes`,
  ];
  const withoutBody = status === 204 || status === 205 || status === 304;
  return new Response(withoutBody ? null : lines.join("\n") + "\n", {
    status,
    headers: { "x-backend": from.name },
  });
}

async function acceptTcp(
  listener: Deno.TcpListener,
  options: { readonly name: string; readonly connections: Set<Deno.TcpConn> },
): Promise<void> {
  const { name, connections } = options;
  const running = new Set<Promise<void>>();
  for await (const connection of listener) {
    connections.add(connection);
    const served: Promise<void> = echo(connection, name).finally(() => {
      connections.delete(connection);
      running.delete(served);
    });
    running.add(served);
  }
  await Promise.all(running);
}

async function echo(connection: Deno.TcpConn, name: string): Promise<void> {
  const banner = `Hostname: ${name} RemoteAddr: ${remoteText(connection.remoteAddr)}\n`;
  try {
    await connection.write(new TextEncoder().encode(banner));
    // Closes the connection at the end of the stream, or when either side is broken.
    await connection.readable.pipeTo(connection.writable);
  } catch {
    // The peer went away or the server is being closed; there is nobody left to tell.
    try {
      connection.close();
    } catch (error) {
      if (!(error instanceof Deno.errors.BadResource)) throw error;
    }
  }
}

/** `10.0.0.1:5`, `[fd00::1]:5`; a socket for both families shows IPv4 peers as `::ffff:10.0.0.1`. */
function remoteText(addr: Deno.NetAddr): string {
  const address = addr.hostname.replace(/^::ffff:(?=\d+\.)/, "");
  return address.includes(":") ? `[${address}]:${addr.port}` : `${address}:${addr.port}`;
}

function anyAddress(): string {
  try {
    Deno.statSync("/proc/net/if_inet6");
    return "::";
  } catch {
    return "0.0.0.0";
  }
}

if (import.meta.main) {
  // Only what Deno itself brings: this runs where nothing can be fetched.
  const { values } = parseArgs({
    args: Deno.args,
    options: {
      "name": { type: "string", default: Deno.hostname() },
      "http-port": { type: "string", default: "8080" },
      "tcp-port": { type: "string", default: "9000" },
    },
  });
  startEchoServer({
    name: values.name,
    httpPort: Number(values["http-port"]),
    tcpPort: Number(values["tcp-port"]),
  });
  Deno.stdout.writeSync(new TextEncoder().encode("listening\n"));
  Deno.addSignalListener("SIGTERM", () => Deno.exit(0));
  Deno.addSignalListener("SIGINT", () => Deno.exit(0));
}
