/**
 * What the delta ADS server reads: the current resources, already encoded, and word of their changes.
 *
 * The store behind it decides what exists; the server decides what each stream is owed. Bytes and version belong
 * together: equal versions mean equal bytes, also across restarts of the agent, because a reconnecting Envoy
 * names the versions it holds and is sent only what differs.
 * @module
 */
import type { XdsType } from "./type_urls.ts";
import type { WildcardScope } from "./wildcard_scope.ts";

/** A resource ready to be sent to any number of streams. */
export interface EncodedResource {
  readonly name: string;
  /** Hash of the content. */
  readonly version: string;
  /** The encoded message, as it goes into `google.protobuf.Any.value`. Never changed after it was handed out. */
  readonly bytes: Uint8Array;
  /**
   * Only on a Cluster: the name of the ClusterLoadAssignment it takes its endpoints from (`service_name`). A stream
   * sends that one again after the Cluster; see `oweAgain` in subscription.ts for the reason.
   */
  readonly loadAssignment?: string;
}

/**
 * How a stream came to want a name: `wildcard` means that Envoy takes all there are, `explicit` that it asked for this
 * very name, or was given it at its start because this node used it before.
 */
export type Interest = "wildcard" | "explicit";

/** The names that may have changed, per type; types without a change are absent. */
export type ChangedNames = ReadonlyMap<XdsType, ReadonlySet<string>>;

/** The current resources of all types. */
export interface ResourceSource {
  /** False until the first full state is in: streams record requests until then, but send nothing. */
  readonly ready: boolean;
  /**
   * The current resource, or undefined when there is none, which is told to Envoy as `removed_resources`.
   * For an explicit Cluster or ClusterLoadAssignment the store returns an empty one instead: "missing" sticks in
   * Envoy, and later connections to that name would wait out the on-demand timeout (envoyproxy/envoy#44742).
   */
  get(type: XdsType, name: string, interest: Interest): EncodedResource | undefined;
  /**
   * The names of a type that a wildcard subscription of that scope takes, the most needed first; a name may come twice.
   * `pushed` are those of `used` that Envoy must have but will never ask for.
   */
  names(type: XdsType, scope: WildcardScope | "pushed"): Iterable<string>;
  /** Whether a Cluster is one that Envoy must have but will never ask for. */
  isPushed(cluster: string): boolean;
  /**
   * Calls back after each update with what may have changed, and with an empty map when `ready` turns true.
   * Returns the function that ends the calls.
   */
  onChange(listener: (changed: ChangedNames) => void): () => void;
}
