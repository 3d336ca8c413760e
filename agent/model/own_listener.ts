/**
 * Decides which ServicePorts need an Envoy Listener of their own: the few that ask for what neither the constant listeners
 * nor a Cluster can give them. A Listener cannot be asked for on demand, so each of these costs every node memory for
 * each of its destinations: 50 KB, and redis 900 KB with its Cluster (Envoy 1.40, 300 of each).
 *
 * In: a ServicePort. Out: an OwnListener, or undefined for the many that need none. Pure.
 *
 * - Redis is understood by a filter of its own.
 * - How long a client's connection may be idle is a property of the filters, and no Cluster can change it.
 *
 * Source: Envoy 1.40 API reference: `TcpProxy.idle_timeout`, `HttpProtocolOptions.idle_timeout` of the connection manager,
 * `RedisProxy`. (`idle_timeout` in a Cluster's TcpProtocolOptions is about pooled connections and ends no client's.)
 * @module
 */
import { DEFAULT_SETTINGS } from "./annotations/mod.ts";
import type { ServicePort } from "./types.ts";

/** What sets a Listener apart from the constant ones. */
export type OwnListener =
  /** As the constant one of that name, with another idle timeout; 0 is none. */
  | { readonly kind: "tcp" | "http"; readonly idleTimeoutMs: number }
  | { readonly kind: "redis" };

/** The idle timeout of the constant listener for HTTP. The one for TCP has none. */
export const HTTP_IDLE_TIMEOUT_MS: number = DEFAULT_SETTINGS.values["idle-timeout"];

/** What the Listener of a ServicePort must do; undefined when the constant ones do. */
export function ownListenerOf(
  { carrier, appProtocol, settings }: Pick<ServicePort, "carrier" | "appProtocol" | "settings">,
): OwnListener | undefined {
  if (carrier !== "envoy") return undefined;
  const idleTimeoutMs = settings.values["idle-timeout"];
  switch (appProtocol) {
    case "redis":
      return { kind: "redis" };
    case "tcp": {
      // The default is that of HTTP: a TCP port has none unless somebody sets it.
      const isSet = settings.origins.has("idle-timeout") && idleTimeoutMs !== 0;
      return isSet ? { kind: "tcp", idleTimeoutMs } : undefined;
    }
    case "http":
    case "http2":
      return idleTimeoutMs === HTTP_IDLE_TIMEOUT_MS ? undefined : { kind: "http", idleTimeoutMs };
    default:
      return appProtocol satisfies never;
  }
}

/** Whether both are the same, or both none. */
export function equalOwnListeners(a: OwnListener | undefined, b: OwnListener | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.kind === b.kind && idleTimeoutOf(a) === idleTimeoutOf(b);
}

function idleTimeoutOf(own: OwnListener): number | undefined {
  return own.kind === "redis" ? undefined : own.idleTimeoutMs;
}
