/**
 * Renders an Explanation for people.
 *
 * In: an Explanation. Out: text that ends with a line break. Pure. Lines are as long as what they say: they are made to be
 * read and searched, not to be parsed, for which there is `--json`.
 * @module
 */
import {
  type AppProtocol,
  type Carrier,
  IP_FAMILIES,
  type Path,
  type TrafficPolicy,
} from "../../agent/model/mod.ts";
import type { EnvoyResourceState } from "../../xds/mod.ts";
import type {
  EndpointExplanation,
  Explanation,
  PortExplanation,
  ResourceExplanation,
  TrafficExplanation,
} from "./explanation.ts";

/** What is left out unless it is asked for. */
export interface RenderOptions {
  /** Settings at their defaults too. */
  readonly all: boolean;
}

const SPOKEN: Readonly<Record<AppProtocol, string>> = {
  tcp: "tcp (bytes, balanced per connection)",
  http: "http (HTTP/1.1, or HTTP/2 where the client speaks it; balanced per request)",
  http2: "http2 (HTTP/2 to the endpoints, whatever the client speaks; balanced per request)",
  redis: "redis (keys are spread over the endpoints; each command goes where its key is)",
};

const TAKEN: Readonly<Record<Path, string>> = {
  "envoy-tcp": "Envoy's TCP listener",
  "envoy-http": "Envoy's HTTP listener",
  reject: "refused at once, because no endpoint is usable",
  kernel: "balanced by the kernel",
  drop: "dropped, because the traffic policy Local allows none of its endpoints",
};

/** The whole text. */
export function renderExplanation(explanation: Explanation, options: RenderOptions): string {
  const { service, ports, problems, leftOutUnknown, clientAddressLacking } = explanation;
  const lines = [
    `Service ${service}, ${renderViewpoint(explanation)}`,
    ...renderTraffic(explanation),
  ];
  for (const port of ports) lines.push("", ...renderPort(port, options));
  if (ports.length === 0) lines.push("", "It has no port that can be served.");
  lines.push("", ...renderProblems(problems));
  if (leftOutUnknown !== null) {
    lines.push("", `Not known: which endpoints Envoy leaves out, because they fail (${leftOutUnknown})`);
  }
  if (clientAddressLacking !== null) {
    lines.push(
      "",
      `Endpoints see this node's address, not their clients', through Envoy: ${clientAddressLacking}`,
    );
  }
  return `${lines.join("\n")}\n`;
}

function renderViewpoint({ viewpoint, zone }: Explanation): string {
  if (viewpoint.kind === "agent") {
    return `as the agent on ${viewpoint.nodeName} (${zone === "" ? "no zone" : `zone ${zone}`}) serves it`;
  }
  return `as an agent${zone === "" ? "" : ` in zone ${zone}`} would serve it, by the manifests alone`;
}

/** What of its traffic is not as it is by default. */
function renderTraffic({ traffic, zone }: Explanation): readonly string[] {
  const { affinityTimeoutSeconds, trafficDistribution, loadBalancerSourceRanges: ranges, healthCheck } =
    traffic;
  const rows: readonly (readonly [title: string, lines: readonly string[]])[] = [
    ["policies", [
      ...(traffic.internalTrafficPolicy === "Local"
        ? [`internalTrafficPolicy Local: ${LOCAL} ClusterIPs`]
        : []),
      ...(traffic.externalTrafficPolicy === "Local"
        ? [
          `externalTrafficPolicy Local: ${LOCAL} everything but ClusterIPs`,
          "but to pods (--cluster-cidr) and this node itself: all endpoints, by the kernel",
        ]
        : []),
    ]],
    [
      "nearness",
      trafficDistribution === ""
        ? []
        : [`${trafficDistribution}: ${NEAREST[trafficDistribution]}${zone === "" ? UNKNOWN_ZONE : ""}`],
    ],
    [
      "affinity",
      affinityTimeoutSeconds === 0
        ? []
        : [`ClientIP, ${affinityTimeoutSeconds} s: a client keeps its endpoint`],
    ],
    ["let in", renderSourceRanges(ranges).map((who) => `to load balancer IPs: ${who}`)],
    ["health", healthCheck === null ? [] : [renderHealthCheck(healthCheck)]],
  ];
  return rows.flatMap(([title, lines]) => lines.length === 0 ? [] : section(title, lines));
}

const LOCAL = "only endpoints of this node answer";

const NEAREST: Readonly<Record<string, string>> = {
  PreferSameZone: "endpoints of the node's zone come first",
  PreferSameNode: "endpoints of the node come first, then those of its zone",
};

const UNKNOWN_ZONE = "; which zone the node is in is not known";

function renderSourceRanges(ranges: TrafficExplanation["loadBalancerSourceRanges"]): readonly string[] {
  if (ranges === "nobody") {
    return ["they are not answered here, because no range of loadBalancerSourceRanges can be read"];
  }
  if (ranges.IPv4.length === 0 && ranges.IPv6.length === 0) return [];
  return IP_FAMILIES.map((family) => {
    const cidrs = ranges[family];
    return `${family} from ${cidrs.length === 0 ? "nobody" : cidrs.join(", ")}`;
  });
}

function renderHealthCheck({ port, localEndpoints }: NonNullable<TrafficExplanation["healthCheck"]>): string {
  const counts = IP_FAMILIES.flatMap((family) => {
    const count = localEndpoints[family];
    return count === undefined ? [] : [`${count} (${family})`];
  });
  return `load balancers ask at port ${port}; ready endpoints on this node: ${counts.join(", ")}`;
}

function renderPort(port: PortExplanation, { all }: RenderOptions): readonly string[] {
  const name = port.name === "" ? "The port" : `Port "${port.name}"`;
  return [
    `${name}, ${port.port}/${port.protocol}`,
    ...section("protocol", [`${renderSpoken(port)}, because ${port.appProtocolBecause}`]),
    ...section("reached at", renderDestinations(port)),
    ...section("carried by", [`${CARRIERS[port.carrier]}, because ${port.carrierBecause}`]),
    ...section("path", renderPaths(port)),
    ...(port.carrier === "envoy" ? section("settings", renderSettings(port, all)) : []),
    ...section("endpoints", renderEndpoints(port)),
    ...(port.carrier === "envoy" ? section("in Envoy", port.resources.flatMap(renderResource)) : []),
  ];
}

function renderSpoken({ protocol, appProtocol, carrier }: PortExplanation): string {
  if (protocol !== "TCP") return "not looked into";
  return carrier === "envoy"
    ? SPOKEN[appProtocol]
    : `${appProtocol} (the kernel balances connections, whatever they hold)`;
}

const CARRIERS: Readonly<Record<Carrier, string>> = { envoy: "Envoy", kernel: "the kernel" };

/** Where destinations differ, it says which. */
function renderPaths({ paths }: PortExplanation): readonly string[] {
  return paths.map(({ family, kinds, path }) => {
    const differ = paths.some((other) => other.family === family && other.path !== path);
    return `${family}${differ ? ` ${kinds.join(", ")}` : ""}: ${TAKEN[path]}`;
  });
}

const TITLE_WIDTH = 12;

/** A title in front of the first line; the others are indented as far. */
function section(title: string, lines: readonly string[]): readonly string[] {
  const some = lines.length === 0 ? ["none"] : lines;
  return some.map((line, index) => `  ${(index === 0 ? title : "").padEnd(TITLE_WIDTH)}${line}`);
}

function renderDestinations({ vips, nodePort }: PortExplanation): readonly string[] {
  return [
    ...vips.map(({ address, port, kind }) => `${socket(address, port)} (${kind})`),
    ...(nodePort === 0 ? [] : [`port ${nodePort} of the node (NodePort)`]),
  ];
}

function renderSettings({ settings }: PortExplanation, all: boolean): readonly string[] {
  const given = settings.filter(({ annotation }) => annotation !== null);
  const shown = all ? settings : given;
  const rows = shown.map((setting) => [
    setting.name,
    setting.value,
    setting.annotation === null
      ? "default"
      : `from ${setting.annotation} (default ${orNothing(setting.default)})`,
  ]);
  const rest = settings.length - shown.length;
  const others = given.length === 0
    ? `all ${rest} are at their defaults`
    : `the other ${rest} are at their defaults`;
  return [...table(rows), ...(rest === 0 ? [] : [`${others}: --all shows them`])];
}

function orNothing(text: string): string {
  return text === "" ? "nothing" : text;
}

function renderEndpoints({ endpoints, paths, carrier, resources }: PortExplanation): readonly string[] {
  const policies = new Set(endpoints.flatMap(({ usedFor }) => usedFor));
  const clusters = resources.filter(({ type }) => type === "Cluster").length;
  const leftOut = ({ leftOutOf }: EndpointExplanation): string => {
    if (leftOutOf.length === 0) return "";
    // Each Cluster counts for itself what it sees.
    const where = leftOutOf.length === clusters ? "" : ` for ${leftOutOf.join(", ")}`;
    return `; LEFT OUT by Envoy for a while${where}, because it fails`;
  };
  const rows = endpoints.map((endpoint: EndpointExplanation) => [
    socket(endpoint.address, endpoint.port),
    endpoint.zone === "" ? "no zone" : `zone ${endpoint.zone}`,
    endpoint.local ? "here" : "not here",
    `${renderUse(endpoint, { carrier, policies })}: ${endpoint.because}${leftOut(endpoint)}`,
  ]);
  const missing = new Set(
    paths.flatMap(({ family, missing }) => missing === null ? [] : [`${family}: none; ${missing}`]),
  );
  return [...table(rows), ...missing];
}

/** For what an endpoint is used; where policies differ, for which of them. */
function renderUse(
  { usedFor, tier }: EndpointExplanation,
  { carrier, policies }: { readonly carrier: Carrier; readonly policies: ReadonlySet<TrafficPolicy> },
): string {
  const [policy, ...others] = usedFor;
  if (policy === undefined) return "not used";
  const forWhom = policies.size > 1 && others.length === 0 ? ` for the policy ${policy}` : "";
  if (tier === 0) return `used${forWhom}`;
  return `used${forWhom}, ${carrier === "envoy" ? "when nearer ones fail" : "when no nearer one is ready"}`;
}

function renderResource({ type, name, envoys }: ResourceExplanation): readonly string[] {
  const what = `${type} ${name}`;
  if (envoys === null) return [what];
  if (envoys.length === 0) return [`${what}: no Envoy is connected`];
  const [only] = envoys;
  if (envoys.length === 1 && only !== undefined) return [`${what}: ${renderState(only)}`];
  return envoys.map((envoy) => `${what}: ${renderState(envoy)} (stream ${envoy.streamId})`);
}

function renderState(envoy: EnvoyResourceState): string {
  switch (envoy.state) {
    case "not-asked-for":
      return "Envoy has not asked for it; it does so at the first connection";
    case "waiting":
      return "waits to be sent; what Envoy had before stays in use";
    case "sent":
      return `version ${envoy.version} sent, not answered yet`;
    case "acked":
      return `version ${envoy.version} acked`;
    case "refused":
      return `version ${envoy.version} REFUSED at ${envoy.at} (${envoy.reason}); ` +
        (envoy.inUse === null ? "Envoy had none before" : `version ${envoy.inUse} stays in use`);
    default:
      return envoy satisfies never;
  }
}

function renderProblems(problems: Explanation["problems"]): readonly string[] {
  if (problems.length === 0) return ["No problems"];
  return ["Problems", ...problems.map(({ object, kind, message }) => `  ${kind}: ${object}: ${message}`)];
}

/** Rows with their cells one below the other; the last cell of a row is as long as it likes. */
function table(rows: readonly (readonly string[])[]): readonly string[] {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [column, cell] of row.slice(0, -1).entries()) {
      widths[column] = Math.max(widths[column] ?? 0, cell.length);
    }
  }
  return rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ").trimEnd());
}

function socket(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
