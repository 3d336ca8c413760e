/**
 * The webhook's port: HTTPS with a certificate that can be replaced while it listens.
 *
 * In: an address, a certificate, what to answer. Out: a listening {@linkcode AdmissionServer}.
 * Invariants: a new certificate holds from the next handshake on, and no connection ends for it. A body is read up to a limit
 * in size and time, so that no client can make the webhook grow; anybody in the cluster may call. At the end nothing that was
 * asked goes unanswered.
 * Through node:https, because Deno's own server cannot change its certificate.
 * @module
 */
import { Buffer } from "node:buffer";
import type http from "node:http";
import https from "node:https";
import type { AddressInfo } from "node:net";
import { BindError } from "../agent/http_server.ts";
import type { HostPort } from "../agent/config.ts";
import type { Logger } from "../agent/log.ts";
import { type AdmissionHttpAnswer, type AdmissionHttpRequest, MAX_BODY_BYTES } from "./answer_http.ts";
import type { KeyPair } from "./certificates/inspect.ts";

/** What {@linkcode startAdmissionServer} needs. */
export interface AdmissionServerOptions {
  readonly address: HostPort;
  /** The flag that names the address, for errors. */
  readonly usedFor: string;
  readonly certificate: KeyPair;
  /** Answers a request; must not throw. */
  answer(request: AdmissionHttpRequest): AdmissionHttpAnswer;
  readonly logger: Logger;
  /** How long a body may take. An API server gives up after the webhook's timeoutSeconds, which is less. @default 10000 */
  readonly bodyDeadlineMs?: number;
}

/** A server that listens. */
export interface AdmissionServer extends AsyncDisposable {
  /** The port is the real one when 0 was asked for. */
  readonly address: HostPort;
  /** Shows this certificate from the next handshake on. */
  useCertificate(pair: KeyPair): void;
  /** Goes on answering, but has clients connect anew for the next request: somewhere else, once they know of it. */
  drain(): void;
}

/** As long as a body: for what comes before it. */
const HANDSHAKE_DEADLINE_MS = 10_000;

/**
 * Longer than any client keeps a connection it does not use (Go's default is 90 s). If both gave up at the same moment, a review
 * would meet a closed connection, and the Service would go without its label.
 */
const KEEP_ALIVE_MS = 120_000;

/**
 * How long the end waits for answers under way, which take milliseconds once the body is there, and for connections over which
 * nothing was ever asked: node:http does not take those for idle.
 */
const SHUTDOWN_GRACE_MS = 1_000;

/** A client that is sent 413 may go on sending: so much is thrown away before its connection is. */
const MAX_DISCARDED_BYTES = 8 * MAX_BODY_BYTES;

/** Listens. @throws {BindError} when the address cannot be listened on */
export async function startAdmissionServer(options: AdmissionServerOptions): Promise<AdmissionServer> {
  const { address, certificate, answer, logger, bodyDeadlineMs = 10_000 } = options;
  let draining = false;

  async function respond(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const body = await readBody(request, bodyDeadlineMs);
    if (body === "gone") return;
    const answered = answer({
      method: request.method ?? "",
      path: (request.url ?? "").split("?")[0]!,
      contentType: request.headers["content-type"] ?? "",
      body,
    });
    // What was not read to its end would be taken for the next request.
    const close = draining || !request.complete;
    response.writeHead(answered.status, {
      ...answered.headers,
      "content-length": Buffer.byteLength(answered.body),
      ...(close ? { connection: "close" } : {}),
    });
    response.end(answered.body);
  }

  const server = https.createServer(secure(certificate), (request, response) => {
    response.on(
      "error",
      (error: Error) => logger.debug("an answer was not taken", { reason: error.message }),
    );
    respond(request, response).catch((error: unknown) => {
      logger.error("a request could not be answered", { reason: String(error) });
      response.destroy();
    });
  });
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  server.headersTimeout = HANDSHAKE_DEADLINE_MS;
  // An API server that does not trust the certificate shows here, and so does a port scan.
  server.on("tlsClientError", (error: Error) => logger.debug("no TLS", { reason: error.message }));
  await listenOn(server, options);
  server.on(
    "error",
    (error: Error) => logger.error("the webhook's port has failed", { reason: error.message }),
  );

  const { port } = server.address() as AddressInfo;
  return {
    address: { hostname: address.hostname, port },
    useCertificate: (pair) => server.setSecureContext(secure(pair)),
    drain: () => {
      draining = true;
    },
    [Symbol.asyncDispose]: async () => {
      draining = true;
      const { promise: closed, resolve } = Promise.withResolvers<void>();
      server.close(() => resolve());
      server.closeIdleConnections();
      const timer = setTimeout(() => server.closeAllConnections(), SHUTDOWN_GRACE_MS);
      await closed;
      clearTimeout(timer);
    },
  };
}

function secure({ certificate, key }: KeyPair): https.ServerOptions {
  return { cert: certificate, key, minVersion: "TLSv1.2", handshakeTimeout: HANDSHAKE_DEADLINE_MS };
}

async function listenOn(
  server: https.Server,
  { address, usedFor }: Pick<AdmissionServerOptions, "address" | "usedFor">,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen(address.port, address.hostname, resolve);
  try {
    await promise;
  } catch (error) {
    throw new BindError({ address, usedFor }, error);
  } finally {
    server.off("error", reject);
  }
}

/** The whole body; `gone`: the client is, and nobody waits for an answer. */
function readBody(
  request: http.IncomingMessage,
  deadlineMs: number,
): Promise<AdmissionHttpRequest["body"] | "gone"> {
  const { promise, resolve } = Promise.withResolvers<AdmissionHttpRequest["body"] | "gone">();
  const chunks: Uint8Array[] = [];
  let length = 0;
  const timer = setTimeout(() => resolve("too-slow"), deadlineMs);
  request.on("data", (chunk: Uint8Array) => {
    length += chunk.length;
    if (length <= MAX_BODY_BYTES) chunks.push(chunk);
    else if (length > MAX_DISCARDED_BYTES) request.destroy();
    else chunks.length = 0;
  });
  // A client that is answered before it has sent everything may never see the answer, so the rest is taken and thrown away.
  request.on("end", () => resolve(length > MAX_BODY_BYTES ? "too-long" : Buffer.concat(chunks)));
  request.on("error", () => resolve("gone"));
  request.on("close", () => resolve("gone"));
  return promise.finally(() => clearTimeout(timer));
}
