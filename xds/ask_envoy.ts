/**
 * A question to Envoy's admin interface.
 *
 * Source: Envoy 1.40 "Administration interface".
 * @module
 */
import { getFromSocket } from "../agent/get_from_socket.ts";

/**
 * Asks.
 * @returns the answer's body
 * @throws {Error} with one sentence that names the socket, when Envoy does not answer or refuses
 */
export async function askEnvoy(adminSocket: string, path: string, signal: AbortSignal): Promise<string> {
  const { status, body } = await getFromSocket(adminSocket, path, signal).catch((cause: unknown) => {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`Envoy's admin socket ${adminSocket} does not answer (${reason})`, { cause });
  });
  if (status !== 200) throw new Error(`Envoy's admin socket ${adminSocket} answers with status ${status}`);
  return body;
}
