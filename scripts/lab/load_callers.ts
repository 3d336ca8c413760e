/**
 * One request after the other over one protocol, for the load client.
 *
 * In: a URL (`http://`, `h2c://`, `tcp://`) and whether a connection may be used again.
 * Out: a `Caller` whose `call` returns the name of the backend that answered, as the echo server gives it.
 * Invariant: nothing is retried. A call that meets a broken connection fails, so a report of no failures means that
 * a user saw none. (`fetch` would repeat such requests silently.)
 * @module
 */

import http from "node:http";
import http2 from "node:http2";

/** Makes calls one at a time. */
export interface Caller {
  /**
   * @returns The backend's name.
   * @throws {Error} With a short text that is the same for equal faults.
   */
  call(signal: AbortSignal): Promise<string>;
  close(): void;
}

/** What a caller gets. */
export interface CallerOptions {
  readonly url: URL;
  /** A new connection for each call instead of one that is kept. */
  readonly newConnections: boolean;
  readonly onConnect: () => void;
}

/** The caller for the URL's protocol. */
export function createCaller(options: CallerOptions): Caller {
  switch (options.url.protocol) {
    case "http:":
      return new Http1Caller(options);
    case "h2c:":
      return new Http2Caller(options);
    case "tcp:":
      return new TcpCaller(options);
    default:
      throw new TypeError(`no client for "${options.url.protocol}": wanted http:, h2c: or tcp:`);
  }
}

class Http1Caller implements Caller {
  readonly #options: CallerOptions;
  readonly #agent: http.Agent;

  constructor(options: CallerOptions) {
    this.#options = options;
    this.#agent = new http.Agent({ keepAlive: !options.newConnections, maxSockets: 1 });
  }

  async call(signal: AbortSignal): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const request = http.get(this.#options.url, { agent: this.#agent }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (text: string) => body += text);
      response.on("error", reject);
      response.on("aborted", () => reject(new Error("cut off in the middle of the answer")));
      response.on("end", () => {
        if (response.statusCode === 200) resolve(backendOf(body));
        else reject(new Error(`status ${response.statusCode}`));
      });
    });
    request.on("socket", (socket) => {
      if (!request.reusedSocket) socket.once("connect", this.#options.onConnect);
    });
    request.on("error", reject);
    const onAbort = (): void => void request.destroy(new Error("timed out"));
    signal.addEventListener("abort", onAbort);
    try {
      return await promise;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  close(): void {
    this.#agent.destroy();
  }
}

class Http2Caller implements Caller {
  readonly #options: CallerOptions;
  #session: http2.ClientHttp2Session | undefined;

  constructor(options: CallerOptions) {
    this.#options = options;
  }

  async call(signal: AbortSignal): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const session = this.#open(reject);
    const { host, pathname } = this.#options.url;
    // Without it, Deno 2.9 sends an IPv6 authority without its brackets, which servers refuse.
    const stream = session.request({ ":method": "GET", ":path": pathname || "/", ":authority": host });
    let status = 0;
    let body = "";
    stream.setEncoding("utf8");
    stream.on("response", (headers) => status = Number(headers[":status"]));
    stream.on("data", (text: string) => body += text);
    stream.on("error", reject);
    stream.on("end", () => {
      if (status === 200) resolve(backendOf(body));
      else reject(new Error(`status ${status}`));
    });
    const onAbort = (): void => {
      stream.close();
      reject(new Error("timed out"));
    };
    signal.addEventListener("abort", onAbort);
    try {
      return await promise;
    } finally {
      signal.removeEventListener("abort", onAbort);
      if (this.#options.newConnections) this.close();
    }
  }

  close(): void {
    this.#session?.destroy();
    this.#session = undefined;
  }

  #open(onError: (error: Error) => void): http2.ClientHttp2Session {
    const open = this.#session;
    if (open !== undefined && !open.closed && !open.destroyed) {
      open.once("error", onError);
      return open;
    }
    const session = http2.connect(`http://${this.#options.url.host}`);
    session.once("connect", this.#options.onConnect);
    session.on("error", onError);
    this.#session = session;
    return session;
  }
}

class TcpCaller implements Caller {
  readonly #options: CallerOptions;
  #connection: { readonly conn: Deno.TcpConn; readonly backend: string } | undefined;

  constructor(options: CallerOptions) {
    this.#options = options;
  }

  async call(signal: AbortSignal): Promise<string> {
    const onAbort = (): void => this.close();
    signal.addEventListener("abort", onAbort);
    try {
      this.#connection ??= await this.#open(signal);
      const { conn, backend } = this.#connection;
      await conn.write(new TextEncoder().encode("echo\n"));
      const line = await readLine(conn);
      if (line !== "echo") throw new Error(`answered "${line}" instead of the echo`);
      if (this.#options.newConnections) this.close();
      return backend;
    } catch (error) {
      this.close();
      throw signal.aborted ? new Error("timed out") : error;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  close(): void {
    const connection = this.#connection;
    this.#connection = undefined;
    connection?.conn.close();
  }

  async #open(signal: AbortSignal): Promise<{ conn: Deno.TcpConn; backend: string }> {
    const { hostname, port } = this.#options.url;
    const conn = await Deno.connect({
      hostname: hostname.replace(/^\[|\]$/g, ""),
      port: Number(port),
      signal,
    });
    this.#options.onConnect();
    const onAbort = (): void => conn.close();
    signal.addEventListener("abort", onAbort);
    try {
      return { conn, backend: backendOf(await readLine(conn)) };
    } catch (error) {
      if (!signal.aborted) conn.close();
      throw error;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }
}

async function readLine(conn: Deno.TcpConn): Promise<string> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(1024);
  let text = "";
  while (!text.includes("\n")) {
    const size = await conn.read(buffer);
    if (size === null) throw new Error("closed before the answer");
    text += decoder.decode(buffer.subarray(0, size), { stream: true });
  }
  return text.slice(0, text.indexOf("\n"));
}

/** The echo server's name for itself; an answer without one comes from somebody else. */
function backendOf(text: string): string {
  const name = /^Hostname: (\S+)/.exec(text)?.[1];
  if (name === undefined) throw new Error("answered by something else than the echo server");
  return name;
}
