/**
 * The key of everything: which port of which Service.
 *
 * In: namespace, Service name, port name, protocol. Out: the text form of kube-proxy's `ServicePortName`,
 * `namespace/name:port/PROTOCOL`, without `:port` for the single unnamed port. Namespace and name cannot hold `/`
 * or `:` (RFC 1123), so two different names never share a text.
 * @module
 */
import type { NamespacedName } from "../kube/objects.ts";
import type { ServicePortKey, ServicePortName } from "./types.ts";

/** The map key of a ServicePortName. */
export function servicePortKey(name: ServicePortName): ServicePortKey {
  const { namespace, name: service, port, protocol } = name;
  return port === "" ? `${namespace}/${service}/${protocol}` : `${namespace}/${service}:${port}/${protocol}`;
}

/** The Service a key names a port of. */
export function serviceOfKey(key: ServicePortKey): NamespacedName {
  const protocol = key.lastIndexOf("/");
  const port = key.indexOf(":");
  return key.slice(0, port === -1 ? protocol : port);
}

/**
 * `namespace/name:port`, or `namespace/name` for an unnamed port: what people read in logs, metrics and Envoy's
 * statistics. Not unique across protocols.
 */
export function servicePortLabel(name: ServicePortName): string {
  return name.port === "" ? `${name.namespace}/${name.name}` : `${name.namespace}/${name.name}:${name.port}`;
}
