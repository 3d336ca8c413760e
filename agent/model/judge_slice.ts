/**
 * Judges an EndpointSlice: what in it can be served, and what is wrong with the rest.
 *
 * In: an EndpointSlice as read. Out: a JudgedSlice, with addresses canonical and everything unusable left out, and a
 * Problem for each thing left out. A slice is judged once, when it changes; joining it with its Service is cheap.
 *
 * Source: EndpointSlice API reference (all addresses of a slice are of its `addressType`; a nil port means "all
 * ports", which no proxy can serve; `FQDN` slices are for consumers other than proxies).
 * @module
 */
import type { EndpointSlice, SliceEndpoint } from "../kube/objects.ts";
import { parseIPAddress, unusableAddress } from "./ip_address.ts";
import { isPortNumber, parseProtocol } from "./port.ts";
import type { IPFamily, Problem, ProblemKind, Protocol } from "./types.ts";

/** An endpoint with a canonical address of its slice's family. */
export interface JudgedEndpoint {
  readonly address: string;
  readonly ready: boolean;
  readonly serving: boolean;
  readonly terminating: boolean;
  readonly zone: string;
}

/** The port number that this slice's endpoints listen on for a named Service port. */
export interface JudgedSlicePort {
  readonly name: string;
  readonly protocol: Protocol;
  readonly port: number;
}

/** What of a slice can be served. */
export interface JudgedSlice {
  readonly namespace: string;
  readonly name: string;
  /** Empty when the slice belongs to no Service. */
  readonly serviceName: string;
  /** Undefined for `FQDN` and unknown address types: such a slice has no endpoints here. */
  readonly family: IPFamily | undefined;
  readonly ports: readonly JudgedSlicePort[];
  readonly endpoints: readonly JudgedEndpoint[];
  readonly lastChangeTriggerTimeMs: number;
  readonly problems: readonly Problem[];
}

/** Judges one slice. Never throws. */
export function judgeSlice(slice: EndpointSlice): JudgedSlice {
  const object = `EndpointSlice ${slice.namespace}/${slice.name}`;
  const problems: Problem[] = [];
  const report = (kind: ProblemKind, message: string): void => void problems.push({ object, kind, message });
  for (const sentence of slice.malformed) report("malformed", sentence);

  const family = slice.addressType === "IPv4" || slice.addressType === "IPv6" ? slice.addressType : undefined;
  // FQDN is a type of the API's, only not one for proxies: nobody has to mend such a slice.
  if (family === undefined && slice.addressType !== "FQDN") {
    report(
      "invalid-address",
      `addressType "${slice.addressType}" has no addresses to connect to; its endpoints are left out. ` +
        `Use IPv4 or IPv6.`,
    );
  }
  return {
    namespace: slice.namespace,
    name: slice.name,
    serviceName: slice.serviceName,
    family,
    ports: judgePorts(slice, report),
    endpoints: family === undefined ? [] : judgeEndpoints(slice.endpoints, family, report),
    lastChangeTriggerTimeMs: slice.lastChangeTriggerTimeMs,
    problems,
  };
}

type Report = (kind: ProblemKind, message: string) => void;

function judgePorts(slice: EndpointSlice, report: Report): readonly JudgedSlicePort[] {
  const ports: JudgedSlicePort[] = [];
  for (const { name, protocol: protocolText, port } of slice.ports) {
    const protocol = parseProtocol(protocolText);
    if (protocol === undefined) {
      report(
        "unknown-protocol",
        `port "${name}" has protocol "${protocolText}"; it is left out. Use TCP, UDP or SCTP.`,
      );
    } else if (!isPortNumber(port)) {
      report(
        "invalid-port",
        `port "${name}" has number ${port}; its endpoints are left out. Use 1 to 65535.`,
      );
    } else ports.push({ name, protocol, port });
  }
  return exactly(ports);
}

function judgeEndpoints(
  endpoints: readonly SliceEndpoint[],
  family: IPFamily,
  report: Report,
): readonly JudgedEndpoint[] {
  const judged: JudgedEndpoint[] = [];
  for (const { address: text, ready, serving, terminating, zone } of endpoints) {
    const parsed = parseIPAddress(text);
    if (parsed === undefined) {
      report("invalid-address", `endpoint address "${text}" is no IP address; it is left out.`);
      continue;
    }
    if (parsed.family !== family) {
      report(
        "wrong-family",
        `endpoint address ${text} is ${parsed.family} in a slice of addressType ${family}; it is left out. ` +
          `Put it in a slice of its own family.`,
      );
      continue;
    }
    const unusable = unusableAddress(parsed);
    if (unusable !== undefined) {
      report("invalid-address", `endpoint address ${text} ${unusable}; it is left out.`);
      continue;
    }
    judged.push({ address: parsed.address, ready, serving, terminating, zone });
  }
  return exactly(judged);
}

/** The same list without room to grow: V8 reserves 17 places at the first `push`, and most lists here hold one or two. */
function exactly<T>(list: readonly T[]): readonly T[] {
  return list.slice();
}
