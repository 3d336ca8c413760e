/**
 * The Kubernetes API as a source of objects: runs one list+watch per kind and joins them.
 *
 * In: a `KubeClient`. Out: batches of `ObjectEvent`s, as the contract of `ObjectSource` says.
 * Invariants: what one read of an answer brought is one batch, forwarded in the same turn; nothing is held back until
 * both kinds are synced, which is only told. Failures are retried for ever: each kind on its own, so that a right that
 * is missing for one does not stop the other.
 * The protocol itself is decided in `watch.ts`; this loop only performs its effects.
 * @module
 */
import { delay } from "@std/async/delay";
import type { Logger } from "../log.ts";
import type { KubeClient } from "./client.ts";
import { KubeApiError, resourceName, SilentConnectionError } from "./kube_api_error.ts";
import type { KubeObject, ObjectEvent, ObjectSink, ObjectSource, Service } from "./objects.ts";
import { HEADLESS_LABEL, SERVICE_PROXY_NAME_LABEL } from "./parse.ts";
import { ObjectStore } from "./store.ts";
import { start, step, type StepContext } from "./watch.ts";
import {
  DEFAULT_WATCH_SETTINGS,
  type StoreEvent,
  type WatchEffect,
  type WatchFailure,
  type WatchInput,
  type WatchSettings,
} from "./watch_protocol.ts";

/** Told what happens, for metrics and readiness. */
export interface ApiSourceObserver {
  /** The kind's first complete list is in. */
  onSynced?(kind: KubeObject["kind"], objects: number): void;
  /** A complete list was started again because history is lost or in doubt. */
  onRelist?(kind: KubeObject["kind"], reason: string): void;
  /** A list or watch failed and is tried again. */
  onWatchError?(kind: KubeObject["kind"], failure: WatchFailure): void;
  /** A watch said nothing for the deadline and was opened again; in a quiet cluster that is normal. */
  onSilent?(kind: KubeObject["kind"]): void;
  /** Watch events arrived (bookmarks counted). */
  onEvents?(kind: KubeObject["kind"], events: number): void;
  /** An object could not even be named. */
  onUnreadable?(kind: KubeObject["kind"], reason: string): void;
}

/** Label selector per kind; empty selects all. */
export type LabelSelectors = Readonly<Record<KubeObject["kind"], string>>;

/** What {@linkcode createApiSource} needs. */
export interface ApiSourceOptions {
  readonly client: KubeClient;
  readonly logger: Logger;
  /** @default everything */
  readonly selectors?: LabelSelectors;
  readonly observer?: ApiSourceObserver;
  readonly settings?: Partial<WatchSettings>;
  /** Uniform in [0, 1). @default Math.random */
  readonly random?: () => number;
}

/**
 * The selectors that spare the API server and us what the model would drop anyway, as kube-proxy does.
 *
 * Slices are selected by the headless label only: the controller copies a Service's labels to its slices, but slices
 * that people write themselves need not carry the proxy's name.
 *
 * @param serviceProxyName Empty: all Services that name no other proxy. Else: only those that name this one.
 */
export function selectorsFor(serviceProxyName: string): LabelSelectors {
  const notHeadless = `!${HEADLESS_LABEL}`;
  const proxy = serviceProxyName === ""
    ? `!${SERVICE_PROXY_NAME_LABEL}`
    : `${SERVICE_PROXY_NAME_LABEL}=${serviceProxyName}`;
  return { Service: `${notHeadless},${proxy}`, EndpointSlice: notHeadless };
}

/** Creates the source. `run` retries every outside fault; it rejects only for a fault in the program. */
export function createApiSource(options: ApiSourceOptions): ObjectSource {
  return {
    async run(sink, signal): Promise<void> {
      const join = new Join(sink);
      // A fault in one loop must end the other too.
      const fault = new AbortController();
      const either = AbortSignal.any([signal, fault.signal]);
      const loops = KINDS.map((kind) =>
        runKind(kind, options, { join, signal: either }).catch((error) => {
          if (either.aborted) return;
          fault.abort(error);
        })
      );
      await Promise.all(loops);
      if (!signal.aborted) throw fault.signal.reason;
    },
    async findService(name, signal): Promise<Service | undefined> {
      // Without the selector by which `run` passes over what is another proxy's.
      for await (const { objects } of options.client.list("Service", { labelSelector: "", name }, signal)) {
        for (const object of objects) if (object.kind === "Service") return object;
      }
      return undefined;
    },
  };
}

const KINDS: readonly KubeObject["kind"][] = ["Service", "EndpointSlice"];

/** Passes the changes of both kinds on, and tells when the last of them is complete for the first time. */
class Join {
  readonly #sink: ObjectSink;
  readonly #unsynced = new Set(KINDS);

  constructor(sink: ObjectSink) {
    this.#sink = sink;
  }

  take(changes: readonly ObjectEvent[]): void {
    if (changes.length > 0) this.#sink.take(changes);
  }

  synced(kind: KubeObject["kind"]): void {
    this.#unsynced.delete(kind);
    if (this.#unsynced.size === 0) this.#sink.synced();
  }
}

async function runKind(
  kind: KubeObject["kind"],
  options: ApiSourceOptions,
  run: { readonly join: Join; readonly signal: AbortSignal },
): Promise<never> {
  const context: StepContext = {
    settings: { ...DEFAULT_WATCH_SETTINGS, ...options.settings },
    random: options.random ?? Math.random,
  };
  const logger = options.logger.with({ resource: resourceName(kind) });
  const store = new ObjectStore(kind);
  const take = (events: readonly StoreEvent[]): void => {
    const wasSynced = store.synced;
    run.join.take(store.apply(events));
    if (wasSynced || !store.synced) return;
    logger.info("synced", { objects: store.size });
    options.observer?.onSynced?.(kind, store.size);
    run.join.synced(kind);
  };
  let { state, events, effect } = start(context);
  take(events);
  for (;;) {
    if (effect === undefined) throw new TypeError(`Nothing is left to do in state ${state.kind}`);
    const inputs: AsyncIterable<WatchInput> = perform(kind, effect, { options, logger, signal: run.signal });
    effect = undefined;
    for await (const input of inputs) {
      const failuresBefore = state.failures;
      const result = step(state, input, context);
      ({ state, events, effect } = result);
      report(kind, { input, failures: state.failures, failuresBefore, options, logger });
      if (result.relistReason !== undefined) {
        logger.info("listing again from the beginning", { reason: result.relistReason });
        options.observer?.onRelist?.(kind, result.relistReason);
      }
      take(events);
      if (effect !== undefined) break;
    }
  }
}

/** Performs one effect. The last input always ends it; leaving the loop early drops the connection. */
async function* perform(
  kind: KubeObject["kind"],
  effect: WatchEffect,
  context: { readonly options: ApiSourceOptions; readonly logger: Logger; readonly signal: AbortSignal },
): AsyncGenerator<WatchInput> {
  const { client, observer } = context.options;
  const { logger, signal } = context;
  const labelSelector = context.options.selectors?.[kind] ?? "";
  const unreadable = (reason: string): void => {
    logger.warn("left out an object that cannot be read", { reason });
    observer?.onUnreadable?.(kind, reason);
  };
  signal.throwIfAborted();
  try {
    switch (effect.kind) {
      case "wait":
        await delay(effect.ms, { signal });
        yield { kind: "waited" };
        return;
      case "list": {
        for await (const part of client.list(kind, { labelSelector }, signal)) {
          part.unreadable.forEach(unreadable);
          yield { kind: "listed", ...part };
        }
        return;
      }
      case "watch": {
        logger.debug("watching", { resourceVersion: effect.resourceVersion });
        const openedMs = performance.now();
        for await (const events of client.watch(kind, { ...effect, labelSelector }, signal)) {
          observer?.onEvents?.(kind, events.length);
          for (const event of events) if (event.type === "UNREADABLE") unreadable(event.reason);
          yield { kind: "events", events };
        }
        yield { kind: "closed", durationMs: performance.now() - openedMs };
        return;
      }
      default: {
        const unreachable: never = effect;
        throw new TypeError(`Unexpected ${JSON.stringify(unreachable)}`);
      }
    }
  } catch (error) {
    if (error instanceof SilentConnectionError) yield { kind: "silent" };
    else if (error instanceof KubeApiError) yield { kind: "failed", failure: error };
    else throw error;
  }
}

/** Says what failed: loudly at first, then less and less often, because a retry comes every few seconds. */
function report(
  kind: KubeObject["kind"],
  event: {
    readonly input: WatchInput;
    readonly failures: number;
    readonly failuresBefore: number;
    readonly options: ApiSourceOptions;
    readonly logger: Logger;
  },
): void {
  const { input, failures, failuresBefore, options, logger } = event;
  if (failures === 0 && failuresBefore > 0) {
    logger.info("the API server answers again", { failures: failuresBefore });
  }
  if (input.kind === "silent" && failures === failuresBefore) {
    options.observer?.onSilent?.(kind);
    logger.debug("the watch was silent, opening it again");
  } else if (input.kind === "silent") {
    const failure = { status: 0, retryAfterMs: 0, message: "the API server did not answer in time" };
    options.observer?.onWatchError?.(kind, failure);
    logger.warn(failure.message, { failures });
  } else if (input.kind === "failed") {
    options.observer?.onWatchError?.(kind, input.failure);
    const isPowerOfTwo = (failures & (failures - 1)) === 0;
    if (isPowerOfTwo) logger.warn(input.failure.message, { failures });
    else logger.debug(input.failure.message, { failures });
  }
}
