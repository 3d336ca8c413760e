/**
 * Manifests for tests: builders of Services and EndpointSlices, and a folder that holds them.
 * @module
 */
import { join } from "@std/path/join";

/** A manifest, as JSON, which is YAML too. */
export type Manifest = Readonly<Record<string, unknown>>;

/** What a Service port of the tests may say. */
export interface PortSpec {
  readonly name?: string;
  readonly port: number;
  readonly targetPort?: number | string;
  readonly protocol?: string;
  readonly appProtocol?: string;
  readonly nodePort?: number;
}

/** A Service; `spec` is laid over what follows from the rest. */
export function service(
  name: string,
  options: {
    readonly clusterIPs: readonly string[];
    readonly ports: readonly PortSpec[];
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly spec?: Manifest;
    readonly loadBalancerIPs?: readonly string[];
  },
): Manifest {
  const { clusterIPs, ports, labels = {}, annotations = {}, spec = {}, loadBalancerIPs = [] } = options;
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace: "default", labels, annotations },
    spec: {
      clusterIP: clusterIPs[0],
      clusterIPs,
      ipFamilies: clusterIPs.map((address) => address.includes(":") ? "IPv6" : "IPv4"),
      ports,
      ...spec,
    },
    status: { loadBalancer: { ingress: loadBalancerIPs.map((ip) => ({ ip })) } },
  };
}

/** A slice with these addresses, ready; its family follows from the first one. */
export function slice(
  serviceName: string,
  options: {
    readonly addresses: readonly string[];
    readonly ports: readonly { readonly name?: string; readonly port: number; readonly protocol?: string }[];
    readonly addressType?: string;
    /** On which node each address is, in their order; not said by default. */
    readonly nodeNames?: readonly string[];
  },
): Manifest {
  const { addresses, ports, nodeNames } = options;
  const addressType = options.addressType ?? (addresses[0]?.includes(":") ? "IPv6" : "IPv4");
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: {
      name: `${serviceName}-${addressType.toLowerCase()}`,
      namespace: "default",
      labels: { "kubernetes.io/service-name": serviceName },
    },
    addressType,
    ports,
    endpoints: addresses.map((address, index) => ({
      addresses: [address],
      conditions: { ready: true },
      nodeName: nodeNames?.[index],
    })),
  };
}

/** A temporary folder of manifests. */
export class ManifestFolder implements AsyncDisposable {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  static async create(): Promise<ManifestFolder> {
    return new ManifestFolder(await Deno.makeTempDir({ prefix: "lightpath-manifests-" }));
  }

  /** Writes or replaces a file in one step. */
  async write(file: string, content: string | readonly Manifest[]): Promise<void> {
    const text = typeof content === "string"
      ? content
      : content.map((manifest) => JSON.stringify(manifest, null, 1)).join("\n---\n");
    const draft = join(this.path, `.${file}.new`);
    await Deno.writeTextFile(draft, text);
    await Deno.rename(draft, join(this.path, file));
  }

  async remove(file: string): Promise<void> {
    await Deno.remove(join(this.path, file));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}
