/**
 * Looks at the certificate of a server that was not trusted, to find out why: the reason that TLS gives is lost on the way here.
 *
 * In: a server's URL. Out: when its certificate holds. Nothing is sent over the connection, and nothing that is read is relied upon.
 * @module
 */
import tls from "node:tls";
import { parseValidity, type Validity } from "./validity.ts";

const LONGEST_MS = 5_000;

/** Undefined when it cannot be had. Never rejects. */
export async function peerCertificateValidity(server: URL): Promise<Validity | undefined> {
  const { promise, resolve } = Promise.withResolvers<Validity | undefined>();
  const socket = tls.connect({
    host: server.hostname.replace(/^\[|\]$/g, ""),
    port: Number(server.port || 443),
    rejectUnauthorized: false,
  }, () => {
    const { valid_from: from, valid_to: to } = socket.getPeerCertificate();
    resolve(parseValidity(from, to));
  });
  socket.on("error", () => resolve(undefined));
  const timer = setTimeout(() => resolve(undefined), LONGEST_MS);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
}
