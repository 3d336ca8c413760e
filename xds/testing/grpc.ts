/**
 * gRPC as it is on the wire, over HTTP/2 without TLS: an endpoint and a client that need no stubs. For tests.
 * @module
 */
import {
  connect,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo } from "node:net";
import type { Backend } from "./backends.ts";

/** What the endpoint does with a call. */
export interface GrpcAnswer {
  /** The status; others than 0 without a message before it ("trailers-only"). */
  readonly status: number;
  /** How long after the headers, which come at once, the end comes. @default 0 */
  readonly lastsMs?: number;
  readonly onCall?: (headers: IncomingHttpHeaders) => void;
}

/** Answers every call the same way. */
export async function grpcBackend({ status, lastsMs = 0, onCall }: GrpcAnswer): Promise<Backend> {
  const server = createServer();
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
  });
  server.on("stream", (stream, headers) => {
    onCall?.(headers);
    answer(stream as ServerHttp2Stream, { status, lastsMs });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    name: `grpc-${status}`,
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: () => close(server, sessions),
  };
}

function answer(stream: ServerHttp2Stream, { status, lastsMs }: { status: number; lastsMs: number }): void {
  // The caller may be gone.
  stream.on("error", () => {});
  const contentType = { ":status": 200, "content-type": "application/grpc" };
  if (status !== 0) {
    stream.respond({ ...contentType, "grpc-status": String(status) }, { endStream: true });
    return;
  }
  stream.respond(contentType, { waitForTrailers: true });
  stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
  // An empty message: not compressed, length 0.
  const end = (): void => void (stream.destroyed || stream.end(new Uint8Array(5)));
  if (lastsMs === 0) end();
  else setTimeout(end, lastsMs);
}

async function close(server: Http2Server, sessions: ReadonlySet<ServerHttp2Session>): Promise<void> {
  for (const session of sessions) session.destroy();
  await new Promise<void>((resolve) => server.close(() => resolve()));
}

/** Makes one call and gives its `grpc-status`, or how it ended without one. */
export function callGrpc(host: string, port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const session = connect(`http://${host}:${port}`);
    session.on("error", reject);
    const stream = session.request({
      ":method": "POST",
      ":path": "/test.Service/Call",
      "content-type": "application/grpc",
      te: "trailers",
    });
    let status = "no status";
    const note = (headers: IncomingHttpHeaders): void => {
      if (headers["grpc-status"] !== undefined) status = String(headers["grpc-status"]);
    };
    stream.on("response", note);
    stream.on("trailers", note);
    stream.on("data", () => {});
    stream.on("error", (error) => status = String(error));
    stream.on("close", () => session.close(() => resolve(status)));
    stream.end(new Uint8Array(5));
  });
}
