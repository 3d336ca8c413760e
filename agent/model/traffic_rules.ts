/**
 * Judges what a Service says about its traffic as a whole: who may send it, whose endpoints answer, whether a client keeps
 * its own, what carries TCP.
 *
 * In: a Service. Out: TrafficRules, and a Problem for each value that is not followed as written. Nearly all Services say
 * nothing of this, and share one object.
 *
 * Invariants: a value that cannot be read never opens what another value closes. An unknown policy is read as the API's
 * default; ranges that cannot be read let nobody in, where kube-proxy leaves them out, and with the last one its firewall.
 * (An API server lets none of these pass: they come from manifests.)
 *
 * A family of which no range is given, beside ranges of the other, has nobody in it: who names the networks that may come
 * means all others not to. kube-proxy lets every client of that family in. A range of everybody (`0.0.0.0/0`, `::/0`) says
 * that nothing is meant to be restricted, in the other family neither, unless that has ranges of its own.
 *
 * Source: Service API reference; kube-proxy's `newBaseServiceInfo` and `pkg/api/v1/service/util.go`, v1.36.
 * @module
 */
import type { Service } from "../kube/objects.ts";
import type { AnnotationFaultKind } from "./annotations/mod.ts";
import { parseIPRange, rangeContains } from "./ip_address.ts";
import { parseTrafficDistribution, type TrafficDistribution } from "./nearness.ts";
import { isPortNumber } from "./port.ts";
import { PATH_ANNOTATION } from "./selection.ts";
import {
  type Carrier,
  IP_FAMILIES,
  type IPFamily,
  type ProblemKind,
  type TrafficPolicy,
  type VIP,
} from "./types.ts";

/** What a Service says about its traffic. */
export interface TrafficRules {
  /** What it wants its TCP ports to be carried by; undefined: whatever this node carries TCP by. */
  readonly tcpCarrier: Carrier | undefined;
  readonly internalTrafficPolicy: TrafficPolicy;
  /** `Cluster` where nothing but ClusterIPs leads to the Service. */
  readonly externalTrafficPolicy: TrafficPolicy;
  /** 0: a client need not keep its endpoint. */
  readonly affinityTimeoutSeconds: number;
  /** Canonical, as in `ServicePort.loadBalancerSourceRanges`; `"nobody"` where ranges were given and none can be read. */
  readonly loadBalancerSourceRanges: Readonly<Record<IPFamily, readonly string[]>> | "nobody";
  readonly trafficDistribution: TrafficDistribution;
  /** Where load balancers ask whether this node has endpoints; 0: nowhere. */
  readonly healthCheckNodePort: number;
}

/** Everybody may come. */
export const NO_SOURCE_RANGES: Readonly<Record<IPFamily, readonly string[]>> = { IPv4: [], IPv6: [] };

/** What holds where a Service says nothing. */
export const DEFAULT_TRAFFIC_RULES: TrafficRules = {
  tcpCarrier: undefined,
  internalTrafficPolicy: "Cluster",
  externalTrafficPolicy: "Cluster",
  affinityTimeoutSeconds: 0,
  loadBalancerSourceRanges: NO_SOURCE_RANGES,
  trafficDistribution: "",
  healthCheckNodePort: 0,
};

type Report = (kind: ProblemKind, message: string, fault?: AnnotationFaultKind) => void;

/** The API's default and limit for `sessionAffinityConfig.clientIP.timeoutSeconds`. */
const DEFAULT_AFFINITY_SECONDS = 10_800;
const MAX_AFFINITY_SECONDS = 86_400;

/** Judges one Service. Never throws. */
export function judgeTrafficRules(service: Service, report: Report): TrafficRules {
  const externalTrafficPolicy = isReachedFromOutside(service)
    ? judgePolicy("externalTrafficPolicy", service.externalTrafficPolicy, report)
    : "Cluster";
  const rules: TrafficRules = {
    tcpCarrier: judgePath(service.annotations[PATH_ANNOTATION], report),
    internalTrafficPolicy: judgePolicy("internalTrafficPolicy", service.internalTrafficPolicy, report),
    externalTrafficPolicy,
    affinityTimeoutSeconds: judgeAffinity(service, report),
    loadBalancerSourceRanges: judgeSourceRanges(service.loadBalancerSourceRanges, report),
    trafficDistribution: judgeTrafficDistribution(service.trafficDistribution, report),
    healthCheckNodePort: service.type === "LoadBalancer" && externalTrafficPolicy === "Local"
      ? judgeHealthCheckNodePort(service.healthCheckNodePort, report)
      : 0,
  };
  return isDefault(rules) ? DEFAULT_TRAFFIC_RULES : rules;
}

const FIELDS = Object.keys(DEFAULT_TRAFFIC_RULES) as readonly (keyof TrafficRules)[];

function isDefault(rules: TrafficRules): boolean {
  return FIELDS.every((field) => rules[field] === DEFAULT_TRAFFIC_RULES[field]);
}

/** Whether anything but ClusterIPs leads to it, as kube-proxy's `ExternallyAccessible`. */
function isReachedFromOutside({ type, externalIPs }: Service): boolean {
  return type === "LoadBalancer" || type === "NodePort" || externalIPs.length > 0;
}

function judgePath(value: string | undefined, report: Report): Carrier | undefined {
  if (value === undefined || value === "envoy" || value === "kernel") return value;
  report(
    "invalid-annotation",
    `annotation ${PATH_ANNOTATION} ${
      quote(value)
    } is neither "envoy" nor "kernel"; what this node does by default holds.`,
    "invalid-value",
  );
  return undefined;
}

function judgePolicy(field: string, value: string, report: Report): TrafficPolicy {
  if (value === "Local" || value === "Cluster" || value === "") return value || "Cluster";
  report("unsupported", `${field} ${quote(value)} is not known; all endpoints answer. Use Cluster or Local.`);
  return "Cluster";
}

function judgeAffinity(
  { sessionAffinity, affinityTimeoutSeconds: seconds }: Service,
  report: Report,
): number {
  if (sessionAffinity === "" || sessionAffinity === "None") return 0;
  if (sessionAffinity !== "ClientIP") {
    report(
      "unsupported",
      `sessionAffinity ${
        quote(sessionAffinity)
      } is not known; clients keep no endpoint. Use None or ClientIP.`,
    );
    return 0;
  }
  if (seconds === 0) return DEFAULT_AFFINITY_SECONDS;
  if (Number.isInteger(seconds) && seconds > 0 && seconds <= MAX_AFFINITY_SECONDS) return seconds;
  report(
    "unsupported",
    `sessionAffinityConfig.clientIP.timeoutSeconds ${seconds} is not possible; ${DEFAULT_AFFINITY_SECONDS} holds. ` +
      `Use 1 to ${MAX_AFFINITY_SECONDS}.`,
  );
  return DEFAULT_AFFINITY_SECONDS;
}

function judgeSourceRanges(
  texts: readonly string[],
  report: Report,
): TrafficRules["loadBalancerSourceRanges"] {
  if (texts.length === 0) return NO_SOURCE_RANGES;
  const ranges: Record<IPFamily, string[]> = { IPv4: [], IPv6: [] };
  // The API's validation lets spaces around a range pass, and texts of nothing else.
  const given = texts.map((text) => text.trim()).filter((text) => text !== "");
  for (const text of given) {
    const range = parseIPRange(text);
    if (range !== undefined) {
      if (!ranges[range.family].includes(range.cidr)) ranges[range.family].push(range.cidr);
      continue;
    }
    report(
      "invalid-address",
      `loadBalancerSourceRanges holds ${
        quote(text)
      }, which is no range of addresses; nobody is let in by it. ` +
        "Use one like 192.0.2.0/24 or 2001:db8::/32.",
    );
  }
  const everybody = IP_FAMILIES.filter((family) => ranges[family].some((cidr) => cidr.endsWith("/0")));
  for (const family of everybody) ranges[family] = [EVERYBODY[family]];
  if (IP_FAMILIES.every((family) => everybody.includes(family) || ranges[family].length === 0)) {
    return everybody.length > 0 || given.length === 0 ? NO_SOURCE_RANGES : "nobody";
  }
  return ranges;
}

const EVERYBODY: Readonly<Record<IPFamily, string>> = { IPv4: "0.0.0.0/0", IPv6: "::/0" };

/**
 * Who may use a Service's load-balancer addresses on this node. Where the node is among them, so are these addresses: a load
 * balancer may have nodes have its address, and then that is the source of what the node itself sends there (kube-proxy:
 * `allowFromNode`).
 * @param nodeIPs By which the cluster knows this node.
 */
export function sourceRangesOf(
  { loadBalancerSourceRanges: ranges }: TrafficRules,
  { vips, nodeIPs }: { readonly vips: readonly VIP[]; readonly nodeIPs: readonly string[] },
): Readonly<Record<IPFamily, readonly string[]>> {
  // Where nobody may come, the Service has no such addresses.
  if (ranges === "nobody" || ranges === NO_SOURCE_RANGES) return NO_SOURCE_RANGES;
  const withOwn = (family: IPFamily): readonly string[] => {
    const given = ranges[family];
    if (!nodeIPs.some((address) => given.some((range) => rangeContains(range, address)))) return given;
    const length = family === "IPv4" ? 32 : 128;
    const own = vips.filter((vip) => vip.kind === "LoadBalancerIP" && vip.family === family);
    return [...new Set([...given, ...own.map(({ address }) => `${address}/${length}`)])];
  };
  return { IPv4: withOwn("IPv4"), IPv6: withOwn("IPv6") };
}

function judgeTrafficDistribution(value: string, report: Report): TrafficDistribution {
  const distribution = parseTrafficDistribution(value);
  if (distribution !== undefined) return distribution;
  report(
    "unsupported",
    `trafficDistribution ${quote(value)} is not followed; all endpoints are used alike. ` +
      "Use PreferSameZone or PreferSameNode.",
  );
  return "";
}

function judgeHealthCheckNodePort(port: number, report: Report): number {
  if (port === 0 || isPortNumber(port)) return port;
  report("invalid-port", `healthCheckNodePort ${port} cannot be listened on. Use 1 to 65535.`);
  return 0;
}

function quote(value: string): string {
  return JSON.stringify(value.slice(0, 60));
}
