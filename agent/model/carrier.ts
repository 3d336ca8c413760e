/**
 * Decides what carries the connections of a port: Envoy or the kernel.
 *
 * In: a port's protocol, what it speaks, the annotation `lightpath.cloud/path` of its Service, what this node carries TCP by
 * (`--tcp-path`). Out: a Carrier. Pure. It holds for all destinations of the port.
 *
 * Envoy carries TCP only. The annotation beats the flag, and neither takes from Envoy what nobody else understands.
 * @module
 */
import type { AppProtocol, Carrier, Protocol } from "./types.ts";

/** What decides it. */
export interface CarriedPort {
  readonly protocol: Protocol;
  readonly appProtocol: AppProtocol;
  /** What the Service asks for; undefined: nothing. */
  readonly asked: Carrier | undefined;
  /** What this node carries TCP by where nobody asks. */
  readonly tcpPath: Carrier;
}

/** What carries a port. */
export function carrierOf({ protocol, appProtocol, asked, tcpPath }: CarriedPort): Carrier {
  if (protocol !== "TCP") return "kernel";
  return needsEnvoy(appProtocol) ? "envoy" : asked ?? tcpPath;
}

/** What made {@linkcode carrierOf} decide so: the end of a sentence that begins with "because". */
export function whyCarrier({ protocol, appProtocol, asked, tcpPath }: CarriedPort): string {
  if (protocol !== "TCP") return `it is ${protocol}`;
  if (needsEnvoy(appProtocol)) return `only Envoy understands ${appProtocol}`;
  if (asked !== undefined) return `the annotation lightpath.cloud/path is "${asked}"`;
  return `--tcp-path is ${tcpPath}, and no annotation says otherwise`;
}

/** Whether the bytes themselves decide where they go, so that balancing connections would be wrong. */
export function needsEnvoy(appProtocol: AppProtocol): boolean {
  return appProtocol === "redis";
}
