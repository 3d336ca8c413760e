/**
 * `deno task record-table`: writes testdata/redirect/ anew after the layout or the golden plan has changed.
 *
 * In: the layout, the golden plan. Out: `table.nft`, the text given to nft; and what each nft that people have prints of the
 * table then, as JSON, without the expressions of rules, which nobody reads.
 * @module
 */
import { diffPlans } from "../redirect/diff.ts";
import { createLayout } from "../redirect/layout.ts";
import { renderReplacement } from "../redirect/nft_script.ts";
import { GOLDEN_PLAN } from "../redirect/testing/golden_plan.ts";
import { Namespace } from "./lab/mod.ts";
import { progress, withTools } from "./tool_path.ts";
import type { ToolName } from "./tools/mod.ts";

const FOLDER = new URL("../testdata/redirect/", import.meta.url);

interface Recording {
  readonly tool: ToolName;
  readonly version: string;
  /** What nft prints of a protocol where nothing names it. */
  readonly withoutEtcProtocols?: true;
}

const RECORDINGS: Readonly<Record<string, Recording>> = {
  "table_nft_1_0_6": { tool: "nft", version: "1.0.6" },
  "table_nft_1_0_6_without_etc_protocols": { tool: "nft", version: "1.0.6", withoutEtcProtocols: true },
  "table_nft_1_1_3": { tool: "nft-trixie", version: "1.1.3" },
};

async function main(): Promise<number> {
  const { paths, unavailable } = await withTools(["ip", "unshare", "nsenter", "nft", "nft-trixie"]);
  if (unavailable.length > 0) {
    unavailable.forEach(progress);
    return 1;
  }
  const script = renderReplacement(
    createLayout({ tcp: 1666, http: 1667 }),
    diffPlans([], GOLDEN_PLAN).add,
  );
  await Deno.writeTextFile(new URL("table.nft", FOLDER), script);
  for (const [name, recording] of Object.entries(RECORDINGS)) {
    const nft = paths.get(recording.tool)!;
    const listing = await list({ nft, script, withoutEtcProtocols: recording.withoutEtcProtocols ?? false });
    const version = listing.nftables[0]?.metainfo?.version;
    if (version !== recording.version) {
      progress(`${nft} is version ${version}; ${name} is of ${recording.version}`);
      return 1;
    }
    await Deno.writeTextFile(new URL(`${name}.json`, FOLDER), render(listing));
  }
  return 0;
}

interface ListOptions {
  readonly nft: string;
  readonly script: string;
  readonly withoutEtcProtocols: boolean;
}

/** What nft lists of the table after it was given the script. */
async function list({ nft, script, withoutEtcProtocols }: ListOptions): Promise<Listing> {
  await using node = await Namespace.create({ name: "node" });
  await node.run([nft, "-f", "-"], { stdin: script });
  const hidden = withoutEtcProtocols ? "mount --bind /dev/null /etc/protocols && " : "";
  const text = await node.run([
    ..."unshare -m sh -c".split(" "),
    `${hidden}exec "$0" -j list table inet lightpath`,
    nft,
  ]);
  return JSON.parse(text) as Listing;
}

interface Listing {
  readonly nftables: readonly {
    readonly metainfo?: { readonly version: string };
    readonly rule?: { readonly [key: string]: unknown };
  }[];
}

/** A line for each object, so that differences can be read. */
function render({ nftables }: Listing): string {
  const lines = nftables.map((object) =>
    JSON.stringify(object.rule === undefined ? object : { ...object, rule: { ...object.rule, expr: [] } })
  );
  return `{"nftables":[\n${lines.join(",\n")}\n]}\n`;
}

if (import.meta.main) Deno.exit(await main());
