/**
 * Asks Envoy which endpoints it leaves out at the moment, because they fail (outlier detection). Nobody else knows: it is a
 * matter of what each Envoy has seen, and nothing of it goes over xDS.
 *
 * In: names of Clusters, asked for when a person wants to know. Out: for each Cluster that Envoy has, the endpoints it leaves out.
 * Invariant: what Envoy has to write, on its main thread, is what these Clusters have and no more, however many there are.
 * Source: Envoy 1.40, "Administration interface", `GET /clusters` with `format=json` and `filter` (an RE2 expression that has
 * to match anywhere in the name); `HostHealthStatus` in envoy/admin/v3/clusters.proto.
 * @module
 */
import { askEnvoy } from "./ask_envoy.ts";

/** An endpoint as the model has it. */
export interface EndpointAddress {
  readonly address: string;
  readonly port: number;
}

/** By the Cluster's name. A Cluster that Envoy does not have is missing. */
export type LeftOutEndpoints = ReadonlyMap<string, readonly EndpointAddress[]>;

/** The names stand in the URL, which Envoy takes up to 60 KiB of; the longest has some 80 bytes when encoded. */
const NAMES_AT_ONCE = 500;

const ANSWER_TIMEOUT_MS = 2_000;

/**
 * Asks the Envoy with this admin socket.
 * @throws {Error} with one sentence when it does not answer, or not like an Envoy
 */
export async function askLeftOutEndpoints(
  adminSocket: string,
  clusters: readonly string[],
): Promise<LeftOutEndpoints> {
  const signal = AbortSignal.timeout(ANSWER_TIMEOUT_MS);
  const found = new Map<string, readonly EndpointAddress[]>();
  for (let from = 0; from < clusters.length; from += NAMES_AT_ONCE) {
    const filter = `^(?:${clusters.slice(from, from + NAMES_AT_ONCE).map(literally).join("|")})$`;
    const path = `/clusters?format=json&filter=${encodeURIComponent(filter)}`;
    const body = await askEnvoy(adminSocket, path, signal);
    for (const [name, endpoints] of parseLeftOutEndpoints(body)) found.set(name, endpoints);
  }
  return found;
}

/** Reads Envoy's answer. @throws {SyntaxError} when it is no JSON */
export function parseLeftOutEndpoints(json: string): LeftOutEndpoints {
  const { cluster_statuses: clusters = [] } = JSON.parse(json) as ClustersAnswer;
  return new Map(clusters.map(({ name, host_statuses: hosts = [] }) => [
    name,
    hosts.flatMap(({ address: { socket_address: socket }, health_status: health }) =>
      socket !== undefined && health?.failed_outlier_check === true
        ? [{ address: socket.address, port: socket.port_value }]
        : []
    ),
  ]));
}

/** The part of `envoy.admin.v3.Clusters` that is read. Fields with their default value are absent. */
interface ClustersAnswer {
  readonly cluster_statuses?: readonly {
    readonly name: string;
    readonly host_statuses?: readonly {
      readonly address: {
        readonly socket_address?: { readonly address: string; readonly port_value: number };
      };
      readonly health_status?: { readonly failed_outlier_check?: boolean };
    }[];
  }[];
}

/** An expression that matches this text only. The only such characters in a Cluster's name are dots and brackets. */
function literally(name: string): string {
  return name.replaceAll(/[.[\]]/g, "\\$&");
}
