/**
 * The four who must agree on where a destination leads, and in what they do not. Pure.
 *
 * In: what each of them says. Out: differences, for people.
 * What the API says is worked out here anew and not by the agent's own model, which is what is being checked: of a world
 * of ClusterIP Services with one TCP port and IPv4 slices that is a few lines.
 * @module
 */

/** The endpoints of each destination `VIP:port`, sorted; nothing for one that nobody owns. */
export type EndpointsByDestination = Readonly<Record<string, readonly string[]>>;

/** What was read on a node. */
export interface NodeViews {
  readonly api: EndpointsByDestination;
  /** Every destination of the others. */
  readonly agent: EndpointsByDestination;
  /** The Clusters it holds. */
  readonly envoy: EndpointsByDestination;
  /** The verdict of each destination. */
  readonly kernel: Readonly<Record<string, string>>;
  /** Of each destination the API knows, the verdict it has to have. */
  readonly verdicts: Readonly<Record<string, string>>;
  /** Streams of the agent's ADS socket beside the reader's. */
  readonly streams: number;
}

/** A Service as JSON, as far as it is looked at. */
export interface ApiService {
  readonly metadata: { readonly namespace: string; readonly name: string };
  readonly spec: {
    readonly clusterIP?: string;
    readonly ports?: readonly {
      readonly name?: string;
      readonly port: number;
      readonly protocol?: string;
      readonly appProtocol?: string;
    }[];
  };
}

/** An EndpointSlice as JSON, as far as it is looked at. */
export interface ApiSlice {
  readonly metadata: {
    readonly namespace: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly ports?: readonly { readonly name?: string; readonly port?: number }[] | null;
  readonly endpoints?:
    | readonly {
      readonly addresses: readonly string[];
      readonly conditions?: { readonly ready?: boolean };
    }[]
    | null;
}

/** Works out what a list of Services and one of slices mean. */
export function viewApi(
  services: readonly ApiService[],
  slices: readonly ApiSlice[],
): Pick<NodeViews, "api" | "verdicts"> {
  const api: Record<string, string[]> = {};
  const verdicts: Record<string, string> = {};
  const slicesByService = Map.groupBy(
    slices,
    ({ metadata }) => `${metadata.namespace}/${metadata.labels?.["kubernetes.io/service-name"]}`,
  );
  for (const { metadata, spec } of services) {
    const own = slicesByService.get(`${metadata.namespace}/${metadata.name}`) ?? [];
    for (const { name = "", port, protocol = "TCP", appProtocol } of spec.ports ?? []) {
      if (protocol !== "TCP" || spec.clusterIP === undefined || spec.clusterIP === "None") continue;
      const destination = `${spec.clusterIP}:${port}`;
      const endpoints = own.flatMap((slice) => readyEndpoints(slice, name));
      api[destination] = [...new Set(endpoints)].sort();
      const path = appProtocol === "http" ? "envoy-http" : "envoy-tcp";
      verdicts[destination] = endpoints.length === 0 ? "no-endpoint" : path;
    }
  }
  return { api, verdicts };
}

function readyEndpoints({ ports, endpoints }: ApiSlice, portName: string): string[] {
  const number = ports?.find(({ name = "" }) => name === portName)?.port;
  if (number === undefined) return [];
  return (endpoints ?? []).flatMap(({ addresses, conditions }) =>
    conditions?.ready === false ? [] : addresses.slice(0, 1).map((address) => `${address}:${number}`)
  );
}

/** Everything in which agent, Envoy and kernel are not what the API says; nothing when all agree. */
export function disagreements({ api, verdicts, agent, envoy, kernel, streams }: NodeViews): string[] {
  const found: string[] = [];
  const compare = (who: string, destination: string, is: string, wanted: string): void => {
    if (is !== wanted) found.push(`${destination}: ${who} has ${is}, the API says ${wanted}`);
  };
  const endpoints = (view: EndpointsByDestination, destination: string): string =>
    (view[destination] ?? []).join(" ") || "no endpoints";
  for (const destination of new Set([...Object.keys(verdicts), ...Object.keys(kernel)])) {
    compare("the kernel", destination, kernel[destination] ?? "nothing", verdicts[destination] ?? "nothing");
  }
  for (const destination of new Set([...Object.keys(api), ...Object.keys(agent)])) {
    compare("the agent", destination, endpoints(agent, destination), endpoints(api, destination));
  }
  for (const destination of Object.keys(envoy)) {
    compare("Envoy", destination, endpoints(envoy, destination), endpoints(api, destination));
  }
  if (streams !== 1) found.push(`${streams} Envoys are connected to the agent, not 1`);
  return found;
}
