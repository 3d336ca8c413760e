/**
 * `deno task demo`: Lightpath's main job, shown with real parts and real figures.
 *
 * In: nothing but this machine; what it lacks (nft, Envoy) is fetched once into the user's cache.
 * Out: a story in readable words. Each of its claims is checked; the exit code is 1 when one does not hold.
 * Everything happens in network namespaces of its own, as root or as an ordinary user; nothing on the host is changed,
 * and all of it ends with this process. `--keep` leaves it running until Ctrl-C and says what to try.
 * @module
 */

import { parseArgs } from "node:util";
import { fromFileUrl } from "@std/path/from-file-url";
import {
  agentRestart,
  endpointChange,
  envoyRestart,
  firstConnection,
  removal,
  throughEnvoy,
} from "./demo/acts.ts";
import { commandToTry } from "./demo/agent.ts";
import { duration, Narrator } from "./demo/narrator.ts";
import { BACKEND_NAMES, Stage, VIP } from "./demo/stage.ts";
import { namespacesUnavailable } from "./lab/mod.ts";
import { progress, withTools } from "./tool_path.ts";

const USAGE = `usage: deno task demo [--keep]

  --keep   leave everything running until Ctrl-C, and say what to try
`;

async function main(args: readonly string[]): Promise<number> {
  let keep: boolean;
  try {
    const { values } = parseArgs({
      args: [...args],
      options: { keep: { type: "boolean", default: false }, help: { type: "boolean", default: false } },
    });
    if (values.help) {
      print(USAGE);
      return 0;
    }
    keep = values.keep;
  } catch (error) {
    progress(`${error instanceof Error ? error.message : error}\n${USAGE}`);
    return 2;
  }

  const tools = await withTools(["ip", "unshare", "nsenter", "nft", "envoy"]);
  for (const [name, value] of Object.entries(tools.env)) Deno.env.set(name, value);
  const missing = [...tools.unavailable, await namespacesUnavailable()].filter((reason) =>
    reason !== undefined
  );
  if (missing.length > 0) {
    for (const reason of missing) progress(reason);
    return 1;
  }
  // In the namespaces there is no network to fetch packages from.
  const cache = new Deno.Command(Deno.execPath(), {
    args: ["cache", "--quiet", fromFileUrl(new URL("../mod.ts", import.meta.url))],
  });
  if (!(await cache.spawn().status).success) return 1;
  const [envoy = "envoy", nft = "nft"] = [tools.paths.get("envoy"), tools.paths.get("nft")];
  try {
    return await play({ keep, envoy, nft });
  } catch (error) {
    progress(`the demo could not go on: ${error instanceof Error ? error.message : error}`);
    return 1;
  }
}

interface PlayOptions {
  readonly keep: boolean;
  readonly envoy: string;
  readonly nft: string;
}

async function play(options: PlayOptions): Promise<number> {
  const interrupted = new Promise<"interrupted">((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      Deno.addSignalListener(signal, () => resolve("interrupted"));
    }
  });
  print(
    "Lightpath: three pods behind a Service, a client, Envoy and the agent, on a node made of namespaces.\n",
  );
  await using stage = await Stage.create(options);
  const narrator = new Narrator(print);
  const acts = playActs(stage, { narrator, keep: options.keep });
  const outcome = await Promise.race([acts, interrupted]);
  if (outcome === "interrupted") {
    // They fail now that the scene is taken down around them.
    acts.catch(() => {});
    return 130;
  }
  const ok = narrator.conclude();
  if (options.keep) {
    stay(stage, options.nft);
    await interrupted;
  }
  return ok ? 0 : 1;
}

async function playActs(
  stage: Stage,
  options: { readonly narrator: Narrator; readonly keep: boolean },
): Promise<void> {
  const { narrator, keep } = options;
  narrator.say(
    `The agent was ready ${duration(stage.readyMs)} after its start. ` +
      `Service default/whoami: ${VIP.ipv4} and ${VIP.ipv6}, ports 80 (HTTP) and 9000 (TCP); ` +
      `endpoints ${BACKEND_NAMES.join(", ")}.`,
  );
  await firstConnection(stage, narrator);
  await throughEnvoy(stage, narrator);
  await endpointChange(stage, narrator);
  await agentRestart(stage, narrator);
  await envoyRestart(stage, narrator);
  if (!keep) await removal(stage, narrator);
}

function stay(stage: Stage, nft: string): void {
  const inClient = (command: string): string => `${stage.client.namespace.enter([]).join(" ")} ${command}`;
  const inNode = (command: string): string => `${stage.lab.node.enter([]).join(" ")} ${command}`;
  print(`
Still running. To try, from another terminal${Deno.uid() === 0 ? ", as root" : ""}:

  a request            ${inClient(`curl -i http://${VIP.ipv4}/`)}
  the kernel's table   ${inNode(`${nft} list table inet lightpath`)}
  Envoy's clusters     ${
    inNode("curl -s --unix-socket /run/lightpath/envoy-admin.sock http://admin/clusters")
  }
  the agent's metrics  ${inNode("curl -s http://127.0.0.1:10249/metrics")}
  is it ready          ${inNode("curl -s http://127.0.0.1:10256/readyz")}
  change endpoints     edit ${stage.manifests}/endpointslice.yaml
  its help             ${commandToTry(stage.lab.node, "--help")}

Ctrl-C ends it and cleans up.
`);
}

function print(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(text));
}

if (import.meta.main) Deno.exit(await main(Deno.args));
