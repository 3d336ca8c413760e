/**
 * Follows the Node that this agent says it runs on. Its zone becomes known late (a cloud's controller labels a Node seconds
 * after the kubelet has registered it, when the agent runs already), and a wrong name is noticed by nothing else: endpoints
 * "on this node" would be those of another.
 *
 * In: the Node as the API server has it, what the agent runs with, the machine's addresses. Out: its zone, at the start and
 * whenever it is another; what is not as it should be, whenever that changes.
 * Invariants: nothing waits for this but the first look, and that not long. The Node is listed and then watched, and listed
 * anew when the stream ends, however it does: of one object a list costs no more than to resume. What cannot be
 * read, or is not permitted yet, stops nothing: what was known holds, also the zone of a Node that is gone.
 * Source: Kubernetes "API Concepts", Efficient detection of changes; kube-proxy's `NodeTopologyConfig`, v1.36, which takes zones likewise.
 * @module
 */
import { delay } from "@std/async/delay";
import type { Logger } from "../log.ts";
import { KubeApiError, SilentConnectionError } from "./kube_api_error.ts";
import { judgeNode, type NodeFacts, type OwnNode } from "./node_facts.ts";
import { DEFAULT_WATCH_SETTINGS } from "./watch_protocol.ts";

/** Reads Nodes. */
export interface NodeClient {
  /**
   * Yields what a Node says now, then each time that it has changed (undefined: there is none of that name), and returns when the
   * server ends the stream.
   * @throws {KubeApiError | SilentConnectionError} @throws the signal's reason when aborted.
   */
  followNode(
    name: string,
    options: { readonly timeoutSeconds: number },
    signal: AbortSignal,
  ): AsyncIterable<NodeFacts | undefined>;
}

/** What {@linkcode watchNode} needs. */
export interface WatchNodeOptions {
  readonly client: NodeClient;
  readonly own: OwnNode;
  /** Called with the first zone the Node says, and with each that is another; empty: it has none. Never where the agent was told its zone. */
  readonly onZone: (zone: string) => void;
  /** Called when what is wrong is something else than before; undefined: nothing. */
  readonly onFault: (fault: string | undefined) => void;
  readonly logger: Logger;
  /** Between a stream that ends and the next; doubles while they end soon, up to `maxPauseMs`. @default 1_000 */
  readonly minPauseMs?: number;
  /** @default 30_000 */
  readonly maxPauseMs?: number;
}

/** How long an agent's start waits for its Node's zone. */
const FIRST_LOOK_MS = 2_000;

/** The zone of a Node; empty when it has none, or cannot be read soon. */
export async function zoneOfNode(client: NodeClient, name: string, logger: Logger): Promise<string> {
  try {
    const stream = client.followNode(name, { timeoutSeconds: 1 }, AbortSignal.timeout(FIRST_LOOK_MS));
    for await (const facts of stream) return facts?.zone ?? "";
  } catch (error) {
    logger.debug("the Node's zone is not known", { node: name, reason: String(error) });
  }
  return "";
}

/** Follows the Node until the signal aborts. */
export async function watchNode(options: WatchNodeOptions, signal: AbortSignal): Promise<void> {
  const { client, own, logger, minPauseMs = 1_000, maxPauseMs = 30_000 } = options;
  const take = createTaker(options);
  const { min, max } = DEFAULT_WATCH_SETTINGS.watchTimeoutSeconds;
  let endedSoon = 0;
  while (!signal.aborted) {
    const openedMs = performance.now();
    const timeoutSeconds = min + Math.floor(Math.random() * (max - min + 1));
    try {
      for await (const facts of client.followNode(own.name, { timeoutSeconds }, signal)) take(facts);
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof KubeApiError || error instanceof SilentConnectionError)) throw error;
      // A right that is missing is told together with the others (rights.ts).
      logger.debug("cannot follow the Node", { node: own.name, reason: error.message });
    }
    endedSoon = performance.now() - openedMs < maxPauseMs ? endedSoon + 1 : 0;
    const pauseMs = Math.min(maxPauseMs, minPauseMs * 2 ** Math.min(endedSoon, 30));
    try {
      await delay(pauseMs * (0.5 + 0.5 * Math.random()), { signal });
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }
}

/** Takes what the Node says, and tells what of it is new. */
function createTaker(
  { own, onZone, onFault, logger }: WatchNodeOptions,
): (facts: NodeFacts | undefined) => void {
  let fault: string | undefined;
  let zone: string | undefined;
  return (facts) => {
    const faultBefore = fault;
    fault = judgeNode(facts, own);
    if (fault !== faultBefore) {
      onFault(fault);
      if (fault === undefined) logger.info("the Node is as it should be", { node: own.name });
      else logger.warn(fault);
    }
    if (own.zone !== "" || facts === undefined || facts.zone === zone) return;
    zone = facts.zone;
    onZone(zone);
  };
}
