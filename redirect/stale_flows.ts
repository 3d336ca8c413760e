/**
 * Decides which UDP flows are stale: those whose packets the kernel would go on to send to where nobody answers any more.
 *
 * The kernel translates the first packet of a flow, and sends those that follow the same way for as long as somebody sends. A UDP
 * client that keeps its port, as many do, so stays with an endpoint that has gone; or with no translation at all, if it began
 * before its Service had endpoints.
 *
 * In: ServicePortChanges; flows. Out: which destinations a change leaves stale flows behind at; whether a flow is stale. Pure.
 *
 * - A flow may go on with every endpoint that serves, those that terminate included, whatever traffic policy, nearness or
 *   affinity say of new ones, as connections of TCP go on.
 * - A flow to a destination that nobody serves any more, or that has no endpoint, ends if it was translated: its next packet is
 *   answered with an ICMP error, or goes to whoever else has the address.
 * - A flow that was not translated, whoever was first, is stale where there is an endpoint for it. Not in a zone: there somebody tracks, beside the
 *   translation, what they filter by.
 *
 * Source: kube-proxy's `pkg/proxy/conntrack/cleanup.go`. It judges by the endpoint's address alone, takes any destination at the
 * number of a NodePort for that NodePort, and keeps flows of Services that are gone or have no endpoint.
 * @module
 */

import type {
  Endpoint,
  IPFamily,
  ModelView,
  NodeAddresses,
  ServicePort,
  ServicePortChange,
} from "../agent/model/mod.ts";
import { isTranslated, socketText, type UdpFlow } from "./udp_flow.ts";

/** Text of a destination: an address and port, or a NodePort of a family. */
export type FlowDestination = string;

/** Who may answer there: texts of sockets. */
type Answering = ReadonlySet<string>;
/** Undefined: nobody serves the destination. */
type MaybeAnswering = Answering | undefined;

const NOBODY: Answering = new Set();

function nodePortText(family: IPFamily, port: number): FlowDestination {
  return `${family} NodePort ${port}`;
}

/** Who may answer flows of a ServicePort. */
function answering(servicePort: ServicePort, family: IPFamily): Answering {
  const { endpoints, localEndpoints, terminatingEndpoints } = servicePort;
  const lists: readonly (readonly Endpoint[])[] = [
    endpoints[family],
    localEndpoints[family],
    terminatingEndpoints[family],
  ];
  return new Set(lists.flat().map(socketText));
}

function answeringByDestination(servicePort: ServicePort | undefined): Map<FlowDestination, Answering> {
  const byDestination = new Map<FlowDestination, Answering>();
  if (servicePort?.name.protocol !== "UDP") return byDestination;
  const byFamily = { IPv4: answering(servicePort, "IPv4"), IPv6: answering(servicePort, "IPv6") };
  for (const vip of servicePort.vips) byDestination.set(socketText(vip), byFamily[vip.family]);
  if (servicePort.nodePort !== 0) {
    for (const family of servicePort.families) {
      byDestination.set(nodePortText(family, servicePort.nodePort), byFamily[family]);
    }
  }
  return byDestination;
}

/**
 * The destinations at which a change may leave stale flows: those where somebody answers no more, and those where somebody begins
 * to. None for most changes. Cost: that of the port's endpoints.
 */
export function destinationsLeft({ before, after }: ServicePortChange): FlowDestination[] {
  const were = answeringByDestination(before);
  const are = answeringByDestination(after);
  return [...new Set([...were.keys(), ...are.keys()])].filter((destination) => {
    const was = were.get(destination) ?? NOBODY;
    const is = are.get(destination) ?? NOBODY;
    return was.size === 0 ? is.size > 0 : !was.isSubsetOf(is);
  });
}

/** Where stale flows are looked for. Flows to all other destinations are left alone. */
export interface Search {
  readonly destinations: ReadonlySet<FlowDestination>;
  /** At all that is served, too. */
  readonly everywhere: boolean;
}

/** By what flows are judged: what is so at that moment, whatever was before. */
export interface FlowJudgeOptions {
  readonly view: Pick<ModelView, "vipOwner" | "nodePortOwner">;
  readonly nodeAddresses: NodeAddresses;
}

/**
 * Judges flows, many of which have the same destination.
 *
 * Flows are read while changes come. To be given those, so that a flow to an endpoint that has only just come is not
 * taken for one to an endpoint that is gone.
 */
export class FlowJudge {
  readonly #view: FlowJudgeOptions["view"];
  readonly #search: Search;
  readonly #nodeAddresses: ReadonlySet<string>;
  /** Only of what is served: a node may have flows to any number of other destinations. */
  readonly #known = new Map<FlowDestination, Answering>();

  constructor(search: Search, { view, nodeAddresses }: FlowJudgeOptions) {
    this.#view = view;
    this.#search = search;
    this.#nodeAddresses = new Set([...nodeAddresses.IPv4, ...nodeAddresses.IPv6]);
  }

  /** The model has changed. */
  changed(): void {
    this.#known.clear();
  }

  /** Whether it is among those looked for, and stale. */
  isStale(flow: UdpFlow): boolean {
    const vip = socketText(flow.destination);
    const nodePort = this.#nodeAddresses.has(flow.destination.address)
      ? nodePortText(flow.family, flow.destination.port)
      : undefined;
    const { destinations, everywhere } = this.#search;
    const isNamed = destinations.has(vip) || nodePort !== undefined && destinations.has(nodePort);
    if (!isNamed && !everywhere) return false;
    // In the order in which the kernel looks them up, where it finds only what has endpoints.
    const atVIP = this.#answeringAtVIP(flow, vip);
    const atNodePort = nodePort === undefined || (atVIP?.size ?? 0) > 0
      ? undefined
      : this.#answeringAtNodePort(flow, nodePort);
    const answering = atNodePort ?? atVIP;
    if (answering === undefined) return isNamed && isTranslated(flow);
    if (answering.has(socketText(flow.answeredBy))) return false;
    return isTranslated(flow) || answering.size > 0 && !flow.isInZone;
  }

  #answeringAtVIP({ family, destination: { address, port } }: UdpFlow, vip: FlowDestination): MaybeAnswering {
    return this.#known.get(vip) ?? this.#learn(vip, family, this.#view.vipOwner(address, port, "UDP"));
  }

  #answeringAtNodePort(
    { family, destination: { port } }: UdpFlow,
    nodePort: FlowDestination,
  ): MaybeAnswering {
    return this.#known.get(nodePort) ??
      this.#learn(nodePort, family, this.#view.nodePortOwner(family, port, "UDP"));
  }

  #learn(destination: FlowDestination, family: IPFamily, owner: ServicePort | undefined): MaybeAnswering {
    if (owner === undefined) return undefined;
    const found = answering(owner, family);
    this.#known.set(destination, found);
    return found;
  }
}
