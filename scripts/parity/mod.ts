/**
 * `deno task parity`: runs the table of cases against a proxy and says which rows hold.
 *
 * Exit codes: 0 all rows hold that have to, 1 some do not or the run failed, 2 asked for wrongly.
 * @module
 */
import { parseArgs } from "node:util";
import { fromFileUrl } from "@std/path/from-file-url";
import { namespacesUnavailable } from "../lab/mod.ts";
import { progress } from "../tool_path.ts";
import { IPTABLES_VARIANTS, PROXY_NAMES, type ProxyName } from "./proxies.ts";
import { PARITY_FILE, renderParity } from "./reference.ts";
import { renderVerdicts, verdictsJson } from "./report.ts";
import { runTable, type Verdict } from "./run.ts";
import { SCENARIOS } from "./scenarios/mod.ts";

const USAGE = `deno task parity [--proxy NAME] [--iptables NAME] [--case TEXT] [--json] | --write

  --proxy NAME      ${PROXY_NAMES.join(", ")}; may be repeated (default all, one after the other)
  --iptables NAME   ${IPTABLES_VARIANTS.join(" or ")}, for lightpath-iptables (default ${
  IPTABLES_VARIANTS[0]
})
  --case TEXT       only rows whose name contains this; may be repeated
  --json            prints one line of JSON for each row instead
  --write           only writes docs/parity.md
`;

async function main(args: readonly string[]): Promise<number> {
  let values;
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        proxy: { type: "string", multiple: true, default: [...PROXY_NAMES] },
        iptables: { type: "string", default: IPTABLES_VARIANTS[0] },
        case: { type: "string", multiple: true, default: [] },
        json: { type: "boolean", default: false },
        write: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    }));
  } catch (error) {
    return misused(error instanceof Error ? error.message : String(error));
  }
  if (values.help) {
    print(`usage: ${USAGE}`);
    return 0;
  }
  if (values.write) {
    await Deno.writeTextFile(PARITY_FILE, renderParity(SCENARIOS));
    return 0;
  }
  const unknown = values.proxy.find((name) => !PROXY_NAMES.some((known) => known === name));
  if (unknown !== undefined) {
    return misused(`--proxy is "${unknown}": wanted one of ${PROXY_NAMES.join(", ")}`);
  }
  const iptables = IPTABLES_VARIANTS.find((name) => name === values.iptables);
  if (iptables === undefined) {
    return misused(`--iptables is "${values.iptables}": wanted one of ${IPTABLES_VARIANTS.join(", ")}`);
  }
  const unavailable = await namespacesUnavailable();
  if (unavailable !== undefined) throw new Error(unavailable);
  // In the namespaces there is no network to fetch packages from.
  const entry = fromFileUrl(new URL("../../mod.ts", import.meta.url));
  const cache = new Deno.Command(Deno.execPath(), { args: ["cache", "--quiet", entry] });
  if (!(await cache.spawn().status).success) return 1;

  let failed = false;
  for (const proxy of values.proxy as ProxyName[]) {
    const verdicts = await runTable({
      ...{ proxy, iptables, scenarios: SCENARIOS, onProgress: progress },
      select: ({ name }) => values.case.length === 0 || values.case.some((text) => name.includes(text)),
    });
    print(values.json ? verdictsJson(proxy, verdicts) : renderVerdicts(proxy, verdicts));
    failed ||= verdicts.length === 0 || verdicts.some(({ state }: Verdict) => state === "failed");
  }
  return failed ? 1 : 0;
}

function misused(message: string): number {
  progress(`${message}\n\nusage: ${USAGE}`);
  return 2;
}

function print(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(text));
}

if (import.meta.main) {
  // What was started ends with this process.
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, () => Deno.exit(130));
  Deno.exit(await main(Deno.args));
}
