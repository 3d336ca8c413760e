import { assertEquals } from "@std/assert/equals";
import { CONFIG_PREFIX, settingsOf } from "./annotations/mod.ts";
import { equalOwnListeners, type OwnListener, ownListenerOf } from "./own_listener.ts";
import { servicePort } from "./testing/service_ports.ts";
import type { AppProtocol, Protocol } from "./types.ts";

/** What a port gets that has this `idle-timeout`. */
function ownListener(
  appProtocol: AppProtocol,
  idleTimeout?: string,
  protocol: Protocol = "TCP",
): OwnListener | undefined {
  const annotations: Record<string, string> = idleTimeout === undefined
    ? {}
    : { [`${CONFIG_PREFIX}idle-timeout`]: idleTimeout };
  const [settings] = settingsOf(annotations, [{ name: "web", appProtocol }]).settings;
  return ownListenerOf(servicePort({ appProtocol, protocol, ...(settings && { settings }) }));
}

Deno.test("ownListenerOf() gives one to what the constant listeners cannot do, and to nothing else", () => {
  assertEquals(ownListener("tcp"), undefined);
  assertEquals(ownListener("tcp", "0"), undefined);
  assertEquals(ownListener("tcp", "300s"), { kind: "tcp", idleTimeoutMs: 300_000 });
  assertEquals(ownListener("tcp", "never"), undefined);
  assertEquals(ownListener("http"), undefined);
  assertEquals(ownListener("http", "5m"), undefined);
  assertEquals(ownListener("http", "0"), { kind: "http", idleTimeoutMs: 0 });
  assertEquals(ownListener("http2", "1.5"), { kind: "http", idleTimeoutMs: 1_500 });
  assertEquals(ownListener("redis"), { kind: "redis" });
  assertEquals(ownListener("tcp", "1s", "UDP"), undefined);
});

Deno.test("equalOwnListeners() compares what a Listener is made of", () => {
  const kinds: readonly (OwnListener | undefined)[] = [
    undefined,
    { kind: "redis" },
    { kind: "tcp", idleTimeoutMs: 1 },
    { kind: "tcp", idleTimeoutMs: 2 },
    { kind: "http", idleTimeoutMs: 1 },
  ];
  for (const [index, a] of kinds.entries()) {
    for (const [other, b] of kinds.entries()) {
      assertEquals(equalOwnListeners(a, b && { ...b }), index === other);
    }
  }
});
