/**
 * `lightpath explain <namespace>/<service>`: says how a Service is served on this node and why. Asks the agent that runs
 * here, over its socket; with `--manifests` reads those and needs no agent.
 * @module
 */
import { IP_FAMILIES } from "../agent/model/mod.ts";
import { servedFamilies } from "./bootstrap.ts";
import type { CommandContext } from "./context.ts";
import type { Explanation } from "./explain/explanation.ts";
import { askAgent, ExplainError } from "./explain/local_socket.ts";
import { explainManifests } from "./explain/offline.ts";
import { renderExplanation } from "./explain/render.ts";

/** Prints the explanation. @throws {ExplainError | ManifestPathError | OutputError} */
export async function runExplain(context: CommandContext): Promise<void> {
  const { config, print } = context;
  const explanation = config.manifests.length > 0 ? await fromManifests(context) : await askAgent({
    path: config.agentSocket,
    service: config.service,
    signal: context.signal,
  });
  await print(
    config.json
      ? `${JSON.stringify(explanation, null, 2)}\n`
      : renderExplanation(explanation, { all: config.all }),
  );
}

async function fromManifests({ config, logger, signal }: CommandContext): Promise<Explanation> {
  const { service, manifests, serviceProxyName, nodeName, zone, tcpPath } = config;
  // This machine need not be the node, so what it has says nothing.
  const families = config.ipFamilies === "auto" ? IP_FAMILIES : servedFamilies(config);
  const selection = { serviceProxyName, families };
  const explained = await explainManifests(
    { service, manifests, selection, node: { nodeName, zone, tcpPath }, logger },
    signal,
  );
  if ("notServed" in explained) throw new ExplainError(explained.notServed);
  return explained;
}
