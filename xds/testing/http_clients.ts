/**
 * Clients that can do what `fetch` and `Deno.connect` cannot: HTTP/2 without TLS, headers exactly as written, Unix sockets, an
 * address of one's own. For tests.
 * @module
 */
import { request } from "node:http";
import { connect, type OutgoingHttpHeaders } from "node:http2";
import { createConnection } from "node:net";

/** GET / over HTTP/2 with prior knowledge; gives status and body. */
export function getOverHttp2(host: string, port: number): Promise<string> {
  return requestOverHttp2(host, port, {});
}

/** The same with headers; a name with several values stands there as often. */
export function requestOverHttp2(host: string, port: number, headers: OutgoingHttpHeaders): Promise<string> {
  return new Promise((resolve, reject) => {
    const session = connect(`http://${host}:${port}`);
    session.on("error", reject);
    const stream = session.request({ ":path": "/", ...headers });
    let status = "";
    let body = "";
    stream.setEncoding("utf8");
    stream.on("response", (headers) => status = String(headers[":status"]));
    stream.on("data", (chunk: string) => body += chunk);
    stream.on("error", reject);
    stream.on("end", () => session.close(() => resolve(`${status} ${body}`)));
    stream.end();
  });
}

/**
 * GET / over HTTP/1.1 with raw headers (name, value, name, value …), from an address of the client's choice; gives status and
 * body.
 */
export function getWithHeaders(
  host: string,
  port: number,
  headers: readonly string[],
  from: { readonly localAddress?: string } = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      { host, port, headers: ["host", "service", ...headers], agent: false, ...from },
      (incoming) => {
        let body = "";
        incoming.setEncoding("utf8");
        incoming.on("data", (chunk: string) => body += chunk);
        incoming.on("end", () => resolve(`${incoming.statusCode} ${body}`));
      },
    );
    outgoing.on("error", reject);
    outgoing.end();
  });
}

/** What a TCP server says first to a client of that address; undefined when it closes without a word. */
export function greetingFrom(localAddress: string, host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host, port, localAddress });
    socket.setEncoding("utf8");
    socket.once("data", (text) => {
      socket.destroy();
      resolve(String(text).trim());
    });
    socket.once("error", reject);
    socket.once("close", () => resolve(undefined));
  });
}
