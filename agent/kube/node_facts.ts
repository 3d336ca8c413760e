/**
 * What of a Node is read, and whether it can be the one that this agent runs on.
 *
 * In: the Node as the API server has it, what the agent runs with, the machine's addresses. Out: its zone and addresses;
 * what is not as it should be, with the mend. A Node that is not registered yet, or has no addresses or zone yet, is none that is wrong.
 * Source: Kubernetes API reference, "Node v1 core": `status.addresses`, of type InternalIP or ExternalIP; the label
 * `topology.kubernetes.io/zone`.
 * @module
 */
import { parseIPAddress } from "../model/mod.ts";
import { type Fields, isFields } from "./_fields.ts";

/** What is read of a Node. */
export interface NodeFacts {
  /** Empty: none yet. */
  readonly zone: string;
  /** Canonical; empty: none yet. */
  readonly addresses: readonly string[];
}

/** What the agent goes by. */
export interface OwnNode {
  readonly name: string;
  /** What it was told, which holds whatever the Node says; empty: nothing, and what the Node says holds. */
  readonly zone: string;
  /** All addresses of this machine. */
  readonly addresses: () => readonly string[];
}

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
  if (own.zone !== "" && facts.zone !== "" && facts.zone !== own.zone) {
    return `Node ${name} is in zone ${facts.zone}, and the agent was told ${own.zone}: set --zone right, or leave it out, ` +
      "and start the agent anew";
  }
  return undefined;
}
