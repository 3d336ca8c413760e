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

/** Values of the field `appProtocol` that are known; in lower case, because case says nothing there. */
export const BY_APP_PROTOCOL: ReadonlyMap<string, AppProtocol> = new Map<string, AppProtocol>([
  ["http", "http"],
  ["http2", "http2"],
  ["h2c", "http2"],
  ["grpc", "http2"],
  ["kubernetes.io/h2c", "http2"],
  ["kubernetes.io/ws", "http"],
  // Never by the port's name: keys are spread over the endpoints, which must be made for that.
  ["lightpath.cloud/redis", "redis"],
]);

/** First words of port names that are known. */
export const BY_NAME_PREFIX: ReadonlyMap<string, AppProtocol> = new Map<string, AppProtocol>([
  ["http", "http"],
  ["http1", "http"],
  ["ws", "http"],
  ["http2", "http2"],
  ["h2c", "http2"],
  ["grpc", "http2"],
]);

/** Whether a port has requests and responses, and what is said about them applies. */
export function isHttp(appProtocol: AppProtocol): boolean {
  return appProtocol === "http" || appProtocol === "http2";
}

/** What a port of a Service says about itself. */
export interface SpelledPort {
  readonly name: string;
  /** As written; empty when it is not set. */
  readonly appProtocol: string;
}

/** The protocol of a TCP port. Anything encrypted (`https`, `tls`, `kubernetes.io/wss`, `grpcs`) is opaque TCP. */
export function appProtocolOf(port: SpelledPort): AppProtocol {
  if (port.appProtocol !== "") return BY_APP_PROTOCOL.get(port.appProtocol.toLowerCase()) ?? "tcp";
  return BY_NAME_PREFIX.get(prefixOf(port)) ?? "tcp";
}

/** What made {@linkcode appProtocolOf} decide so: the end of a sentence that begins with "because". */
export function whyAppProtocol(port: SpelledPort): string {
  if (port.appProtocol !== "") {
    const isKnown = BY_APP_PROTOCOL.has(port.appProtocol.toLowerCase());
    return `appProtocol is ${JSON.stringify(port.appProtocol)}${isKnown ? "" : ", which passes as it is"}`;
  }
  const prefix = prefixOf(port);
  if (!BY_NAME_PREFIX.has(prefix)) return "neither appProtocol nor the port's name says otherwise";
  return `the port is called "${port.name}"${port.name === prefix ? "" : `, which begins with "${prefix}-"`}`;
}

function prefixOf({ name }: SpelledPort): string {
  return name.split("-", 1)[0] ?? "";
}
