/**
 * A WebSocket endpoint that echoes, and a client that speaks to it once; for tests.
 * @module
 */
import { delay } from "@std/async/delay";
import { type Backend, httpBackend } from "./backends.ts";

/** Echoes every message of every WebSocket. */
export function webSocketEcho(onUpgrade: (request: Request) => void = () => {}): Backend {
  return httpBackend("echo", (request) => {
    onUpgrade(request);
    const { socket, response } = Deno.upgradeWebSocket(request);
    socket.onmessage = ({ data }) => socket.send(data);
    return response;
  });
}

/** Opens a WebSocket, keeps silent for a while, says hello, closes. Gives the answer, or how it ended without one. */
export async function echoOverWebSocket(
  host: string,
  port: number,
  { afterMs }: { readonly afterMs: number },
): Promise<string> {
  const socket = new WebSocket(`ws://${host}:${port}/`);
  const opened = Promise.withResolvers<void>();
  const answered = Promise.withResolvers<string>();
  const closed = Promise.withResolvers<void>();
  socket.onopen = () => opened.resolve();
  socket.onmessage = ({ data }) => answered.resolve(String(data));
  socket.onclose = ({ code }) => {
    opened.resolve();
    answered.resolve(`closed with ${code}`);
    closed.resolve();
  };
  await opened.promise;
  await delay(afterMs);
  if (socket.readyState === WebSocket.OPEN) socket.send("hello");
  const answer = await answered.promise;
  socket.close();
  await closed.promise;
  return answer;
}
