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
import type { EndpointSlice, NamespacedName, SliceEndpoint } from "../kube/objects.ts";
import { exactly } from "./exactly.ts";
import { parseIPAddress, unusableAddress } from "./ip_address.ts";
import { type Place, placeOf } from "./place.ts";
import { isPortNumber, parseProtocol } from "./port.ts";
import type { IPFamily, Problem, ProblemKind, Protocol } from "./types.ts";

/** An endpoint with a canonical address of its slice's family. */
export interface JudgedEndpoint {
  readonly address: string;
  readonly ready: boolean;
  readonly serving: boolean;
  readonly terminating: boolean;
  readonly place: Place;
}

/** The port number that this slice's endpoints listen on for a named Service port. */
export interface JudgedSlicePort {
  readonly name: string;
  readonly protocol: Protocol;
  readonly port: number;
}

/** What of a slice can be served. */
export interface JudgedSlice {
  readonly namespacedName: NamespacedName;
  /** The Service it names; with an empty name when it names none. */
  readonly service: NamespacedName;
  /** Undefined for `FQDN` and unknown address types: such a slice has no endpoints here. */
  readonly family: IPFamily | undefined;
  readonly ports: readonly JudgedSlicePort[];
  readonly endpoints: readonly JudgedEndpoint[];
}

/** Judges one slice of the Service of that name, as seen from the node of that name. Never throws. */
export function judgeSlice(
  slice: EndpointSlice,
  { service, nodeName }: { readonly service: NamespacedName; readonly nodeName: string },
): { readonly judged: JudgedSlice; readonly problems: readonly Problem[] } {
  const object = `EndpointSlice ${slice.namespacedName}`;
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
  const judged: JudgedSlice = {
    namespacedName: slice.namespacedName,
    service,
    family,
    ports: judgePorts(slice, report),
    endpoints: family === undefined ? [] : judgeEndpoints(slice.endpoints, { family, nodeName }, report),
  };
  return { judged, problems };
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
  return shared(ports);
}

/** More distinct lists than a cluster has charts; beyond it the table starts afresh. */
const SHARED_LIMIT = 5_000;
const sharedPorts = new Map<string, readonly JudgedSlicePort[]>();

/** One copy of a list: the slices of a Service have the same ports, and so do those of most Services. */
function shared(ports: readonly JudgedSlicePort[]): readonly JudgedSlicePort[] {
  const text = ports.map(({ name, protocol, port }) => `${name}/${protocol}/${port}`).join();
  const known = sharedPorts.get(text);
  if (known !== undefined) return known;
  if (sharedPorts.size >= SHARED_LIMIT) sharedPorts.clear();
  const kept = exactly(ports);
  sharedPorts.set(text, kept);
  return kept;
}

function judgeEndpoints(
  endpoints: readonly SliceEndpoint[],
  { family, nodeName }: { readonly family: IPFamily; readonly nodeName: string },
  report: Report,
): readonly JudgedEndpoint[] {
  const judged: JudgedEndpoint[] = [];
  for (const endpoint of endpoints) {
    const { address: text, ready, serving, terminating } = endpoint;
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
    judged.push({ address: parsed.address, ready, serving, terminating, place: placeOf(endpoint, nodeName) });
  }
  return exactly(judged);
}
