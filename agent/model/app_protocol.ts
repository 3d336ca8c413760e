/**
 * Decides what a TCP port speaks.
 *
 * In: `appProtocol` and the name of a Service port. Out: an `AppProtocol`. `appProtocol` wins where it is set, even
 * to a value not known here (then the port is opaque TCP: guessing HTTP from a name could break it); else the port's
 * name decides by the convention `<protocol>[-<suffix>]` that Istio made common; else TCP.
 *
 * Source: KEP-1422, KEP-3726 (standard names `kubernetes.io/h2c`, `/ws`, `/wss`), IANA service names.
 * @module
 */
import type { AppProtocol } from "./types.ts";

// Maps, because users choose the keys: "constructor" is a valid port name, and bare objects have such a member.
const BY_APP_PROTOCOL: ReadonlyMap<string, AppProtocol> = new Map<string, AppProtocol>([
  ["http", "http"],
  ["http2", "http2"],
  ["h2c", "http2"],
  ["grpc", "http2"],
  ["kubernetes.io/h2c", "http2"],
  ["kubernetes.io/ws", "http"],
]);

const BY_NAME_PREFIX: ReadonlyMap<string, AppProtocol> = new Map<string, AppProtocol>([
  ["http", "http"],
  ["http1", "http"],
  ["ws", "http"],
  ["http2", "http2"],
  ["h2c", "http2"],
  ["grpc", "http2"],
]);

/** The protocol of a TCP port. Anything encrypted (`https`, `tls`, `kubernetes.io/wss`, `grpcs`) is opaque TCP. */
export function appProtocolOf(port: { readonly name: string; readonly appProtocol: string }): AppProtocol {
  if (port.appProtocol !== "") return BY_APP_PROTOCOL.get(port.appProtocol.toLowerCase()) ?? "tcp";
  const prefix = port.name.split("-", 1)[0] ?? "";
  return BY_NAME_PREFIX.get(prefix) ?? "tcp";
}
