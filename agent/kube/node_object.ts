/**
 * Looks whether the Node that this agent says it runs on is this machine's: a wrong name is noticed by nothing else, and endpoints "on this
 * node" would be those of another.
 *
 * In: the Node as the API server has it, what the agent runs with, the machine's addresses. Out: the zone it says, at the start; and
 * what is not as it should be, with the mend, whenever that changes.
 * Invariants: nothing waits for this but the first look, and that not long. A Node that is not registered yet, or has no addresses or zone
 * yet, is looked at again, and what it then says counts. What cannot be read, or is not permitted yet, stops nothing.
 * Source: Kubernetes API reference, "Node v1 core": `status.addresses`, of type InternalIP or ExternalIP; the label
 * `topology.kubernetes.io/zone`.
 * @module
 */
import { delay } from "@std/async/delay";
import type { Logger } from "../log.ts";
import { parseIPAddress } from "../model/mod.ts";
import { type Fields, isFields } from "./_fields.ts";
import { KubeApiError, SilentConnectionError } from "./kube_api_error.ts";

/** What is read of a Node. */
export interface NodeFacts {
  /** Empty: none yet. */
  readonly zone: string;
  /** Canonical; empty: none yet. */
  readonly addresses: readonly string[];
}

/** Reads Nodes. */
export interface NodeClient {
  /**
   * What a Node says; undefined: there is none of that name.
   * @throws {KubeApiError | SilentConnectionError} @throws the signal's reason when aborted.
   */
  node(name: string, signal: AbortSignal): Promise<NodeFacts | undefined>;
}

/** What the agent goes by. */
export interface OwnNode {
  readonly name: string;
  readonly zone: string;
  /** All addresses of this machine. */
  readonly addresses: () => readonly string[];
}

/** What {@linkcode watchNode} needs. */
export interface WatchNodeOptions {
  readonly client: NodeClient;
  readonly own: OwnNode;
  /** Called when what is wrong is something else than before; undefined: nothing. */
  readonly onChange: (fault: string | undefined) => void;
  readonly logger: Logger;
  /** Between two looks. @default 300_000 */
  readonly intervalMs?: number;
  /** The same while something is wrong, or the Node cannot be read. @default 5_000 */
  readonly retryMs?: number;
}

/** How long an agent's start waits for its Node's zone. */
const FIRST_LOOK_MS = 2_000;

/** Reads the facts of a Node out of its JSON. */
export function readNode(object: Fields): NodeFacts {
  const metadata = isFields(object["metadata"]) ? object["metadata"] : {};
  const labels = isFields(metadata["labels"]) ? metadata["labels"] : {};
  const status = isFields(object["status"]) ? object["status"] : {};
  const listed = Array.isArray(status["addresses"]) ? status["addresses"].filter(isFields) : [];
  const zone = labels["topology.kubernetes.io/zone"];
  return {
    zone: typeof zone === "string" ? zone : "",
    addresses: listed
      .filter(({ type }) => type === "InternalIP" || type === "ExternalIP")
      .flatMap(({ address }) => parseIPAddress(String(address))?.address ?? []),
  };
}

/** What is wrong, as a sentence with the mend; undefined: nothing, or nothing that is known yet. */
export function judgeNode(facts: NodeFacts | undefined, own: OwnNode): string | undefined {
  const name = JSON.stringify(own.name);
  if (facts === undefined) {
    return `there is no Node ${name} yet: endpoints are taken for this node's own by that name, so none are; ` +
      "wait until it is registered, or give --node-name as `kubectl get nodes` has it";
  }
  const here = new Set(own.addresses());
  if (facts.addresses.length > 0 && !facts.addresses.some((address) => here.has(address))) {
    return `Node ${name} has the addresses ${facts.addresses.join(", ")}, none of which is this machine's: ` +
      "give --node-name as `kubectl get nodes` has it for this machine";
  }
  if (facts.zone !== "" && facts.zone !== own.zone) {
    return own.zone === ""
      ? `Node ${name} is in zone ${facts.zone} now, which was not known when the agent started: start it anew`
      : `Node ${name} is in zone ${facts.zone}, and the agent was told ${own.zone}: set --zone right, and start it anew`;
  }
  return undefined;
}

/** The zone of a Node; empty when it has none, or cannot be read soon. */
export async function zoneOfNode(client: NodeClient, name: string, logger: Logger): Promise<string> {
  try {
    return (await client.node(name, AbortSignal.timeout(FIRST_LOOK_MS)))?.zone ?? "";
  } catch (error) {
    logger.debug("the Node's zone is not known", { node: name, reason: String(error) });
    return "";
  }
}

/** Looks at once and then at intervals, until the signal aborts. */
export async function watchNode(
  { client, own, onChange, logger, intervalMs = 300_000, retryMs = 5_000 }: WatchNodeOptions,
  signal: AbortSignal,
): Promise<void> {
  let before: string | undefined;
  while (!signal.aborted) {
    let pauseMs = retryMs;
    try {
      const fault = judgeNode(await client.node(own.name, signal), own);
      if (fault !== before) {
        onChange(fault);
        if (fault === undefined) logger.info("the Node is as it should be", { node: own.name });
        else logger.warn(fault);
      }
      before = fault;
      if (fault === undefined) pauseMs = intervalMs;
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof KubeApiError || error instanceof SilentConnectionError)) throw error;
      // A right that is missing is told together with the others (rights.ts).
      logger.debug("cannot read the Node", { node: own.name, reason: error.message });
    }
    try {
      await delay(pauseMs * (0.9 + 0.2 * Math.random()), { signal });
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }
}
