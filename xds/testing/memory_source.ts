/**
 * A ResourceSource in memory, for tests: resources are set and deleted by name, content stands for itself.
 *
 * Like the agent's store it answers an explicit Cluster or ClusterLoadAssignment that does not exist with an empty one.
 * @module
 */
import type { ChangedNames, EncodedResource, Interest, ResourceSource } from "../resource_source.ts";
import { SEND_ORDER, type XdsType } from "../type_urls.ts";
import type { WildcardScope } from "../wildcard_scope.ts";

/** The version of the empty resource that stands for one that does not exist. */
export const ABSENT_VERSION = "absent";

/** Content is any text; it serves as the version too, unless one is given. */
export interface MemoryContent {
  readonly version: string;
  readonly bytes?: Uint8Array;
  readonly loadAssignment?: string;
}

/** A store without a model behind it. */
export class MemorySource implements ResourceSource {
  readonly #resources: Record<XdsType, Map<string, EncodedResource>> = {
    Cluster: new Map(),
    ClusterLoadAssignment: new Map(),
    TypedExtensionConfig: new Map(),
    Listener: new Map(),
    RouteConfiguration: new Map(),
  };
  readonly #listeners = new Set<(changed: ChangedNames) => void>();
  #pending: Map<XdsType, Set<string>> | undefined;
  ready: boolean;
  /** What was used before, for a wildcard of that scope. */
  used: readonly string[] = [];
  /** Clusters that must be given unasked while they exist. */
  readonly pushed = new Set<string>();

  constructor(options: { readonly ready?: boolean } = {}) {
    this.ready = options.ready ?? true;
  }

  /** Listeners that have not unsubscribed. */
  get listenerCount(): number {
    return this.#listeners.size;
  }

  get(type: XdsType, name: string, interest: Interest): EncodedResource | undefined {
    const resource = this.#resources[type].get(name);
    if (resource !== undefined || interest === "wildcard" || type === "Listener") return resource;
    return { name, version: ABSENT_VERSION, bytes: new Uint8Array() };
  }

  names(type: XdsType, scope: WildcardScope | "pushed"): Iterable<string> {
    const all = this.#resources[type];
    if (scope === "all") return all.keys();
    return [...this.pushed, ...scope === "used" ? this.used : []].filter((name) => all.has(name));
  }

  isPushed(cluster: string): boolean {
    return this.pushed.has(cluster) && this.#resources.Cluster.has(cluster);
  }

  onChange(listener: (changed: ChangedNames) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Adds or replaces a resource. */
  set(type: XdsType, name: string, content: string | MemoryContent): void {
    const { version, bytes, loadAssignment } = typeof content === "string"
      ? { version: content, bytes: undefined, loadAssignment: undefined }
      : content;
    this.#resources[type].set(name, {
      name,
      version,
      bytes: bytes ?? new TextEncoder().encode(version),
      ...(loadAssignment === undefined ? {} : { loadAssignment }),
    });
    this.#changed(type, name);
  }

  delete(type: XdsType, name: string): void {
    if (this.#resources[type].delete(name)) this.#changed(type, name);
  }

  /** Reports all changes made in the callback as one. */
  batch(change: () => void): void {
    this.#pending = new Map();
    change();
    const changed = this.#pending;
    this.#pending = undefined;
    this.#notify(changed);
  }

  becomeReady(): void {
    this.ready = true;
    this.#notify(new Map());
  }

  /** What a client that wants these names, or all, must end up with: versions by name. */
  view(type: XdsType, names: "all" | Iterable<string>): Map<string, string> {
    const interest = names === "all" ? "wildcard" : "explicit";
    const view = new Map<string, string>();
    for (const name of names === "all" ? this.names(type, "all") : names) {
      const resource = this.get(type, name, interest);
      if (resource !== undefined) view.set(name, resource.version);
    }
    return view;
  }

  #changed(type: XdsType, name: string): void {
    if (this.#pending === undefined) this.#notify(new Map([[type, new Set([name])]]));
    else this.#pending.set(type, (this.#pending.get(type) ?? new Set()).add(name));
  }

  #notify(changed: ChangedNames): void {
    const ordered = new Map(SEND_ORDER.flatMap((type) => {
      const names = changed.get(type);
      return names === undefined ? [] : [[type, names] as const];
    }));
    for (const listener of [...this.#listeners]) listener(ordered);
  }
}
