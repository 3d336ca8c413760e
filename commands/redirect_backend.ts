/**
 * Makes the backend that the settings ask for, out of the programs that are there.
 *
 * In: the settings. Out: a backend, and how to remove what others left. The choice is `redirect/choose_backend.ts`.
 * @module
 */
import { dirname } from "@std/path/dirname";
import type { Config } from "../agent/config.ts";
import type { Logger } from "../agent/log.ts";
import { IP_FAMILIES, type IPFamily, marksOf } from "../agent/model/mod.ts";
import {
  chooseBackend,
  createIp,
  createIptablesBackend,
  createNft,
  createNftablesBackend,
  createNftSession,
  createPrograms,
  findIptables,
  IpError,
  IPTABLES_NAMES,
  openNetlink,
  type Programs,
  type RedirectBackend,
  RedirectError,
  removeLeftovers,
  removePolicyRoutes,
  removeRules,
} from "../redirect/mod.ts";
import { servedRanges } from "./bootstrap.ts";

/** What programs the kernel. Disposed of, it ends what it kept running; what is in the kernel stays. */
export interface ChosenBackend extends AsyncDisposable {
  readonly backend: RedirectBackend;
  /** How it is called for people: `nftables`, `iptables-legacy`. */
  readonly name: string;
  /** Why Envoy's connections cannot be in their clients' names with it, as the end of a sentence; undefined: they can. */
  readonly whyNotInClientsName: string | undefined;
  /** Removes what other ways of programming the kernel left. To be called when this one has everything. */
  removeLeftovers(): Promise<void>;
}

/**
 * What becomes of a connection stands in its socket's priority (agent/model/envoy_sockets.ts), which no match of iptables reads: nor
 * can `bpf`, whose classic programs have no word for it, or `u32`, which sees the packet alone.
 */
const NO_PRIORITIES =
  "iptables cannot tell by a socket's priority what Envoy's connections are for; nftables can";

/** Chooses. Changes nothing. @throws {RedirectError} */
export async function openBackend(
  config: Config,
  { families, logger }: { readonly families: readonly IPFamily[]; readonly logger: Logger },
): Promise<ChosenBackend> {
  const options = {
    ports: { tcp: config.tcpPort, http: config.httpPort },
    clusterCIDRs: servedRanges(config.clusterCIDRs, families),
    marks: marksOf(config.markMask),
  };
  await using made = new AsyncDisposableStack();
  const nft = made.use(createNftSession({ nftPath: config.nftBin, logger }));
  const wanted = config.redirect === "none" ? "auto" : config.redirect;
  const netlink = wanted === "iptables" ? undefined : await openNetlink(logger);
  if (netlink !== undefined) made.use(netlink);
  const nftables = createNftablesBackend({
    ...options,
    nft,
    elements: netlink && { writer: netlink.elements, logger },
    sense: netlink?.table,
  });
  let used: Programs | undefined;
  const iptables = async (): Promise<RedirectBackend> => {
    used = (await foundPrograms(config))[0] ?? programsNamed(config, "iptables");
    return createIptablesBackend({
      ...options,
      programs: used,
      families: families.map((family) => family === "IPv4" ? "4" : "6"),
    });
  };
  const backend = await chooseBackend(wanted, { candidates: { nftables, iptables }, logger });
  const isNftables = backend === nftables;
  const name = isNftables ? "nftables" : used?.name ?? "iptables";
  logger.info("the kernel is programmed with", { backend: name });
  const kept = made.move();
  return {
    backend,
    name,
    whyNotInClientsName: isNftables ? undefined : NO_PRIORITIES,
    removeLeftovers: () =>
      removeLeftovers(
        isNftables ? [() => removeIptables(config)] : [
          () => nftables.cleanup(),
          () => removeRoutes(config),
          async () => {
            for (const programs of await possiblePrograms(config)) {
              if (programs.name !== used?.name) await removeRules(programs);
            }
          },
        ],
        logger,
      ),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/**
 * Takes everything of ours out of the kernel, however it came there; the policy routes last, to which marks lead.
 * @throws {RedirectError} where something is in the way; that nothing is there by which it could have come is
 */
export async function removeEverything(config: Config): Promise<void> {
  const ports = { tcp: config.tcpPort, http: config.httpPort };
  const removals = [
    () => createNftablesBackend({ nft: createNft({ nftPath: config.nftBin }), ports }).cleanup(),
    () => removeIptables(config),
  ];
  const missing: RedirectError[] = [];
  for (const remove of removals) {
    try {
      await remove();
    } catch (error) {
      if (!(error instanceof RedirectError) || error.kind !== "missing-binary") throw error;
      missing.push(error);
    }
  }
  const [first] = missing;
  if (first !== undefined && missing.length === removals.length) throw first;
}

/** What an agent with nftables made beside its table. */
async function removeRoutes(config: Config): Promise<void> {
  try {
    await removePolicyRoutes(createIp({ ipPath: config.ipBin }), IP_FAMILIES);
  } catch (error) {
    if (!(error instanceof IpError)) throw error;
    throw new RedirectError(error.message, { kind: "other", cause: error });
  }
}

/** Rules of both kinds, then the sets that they asked. */
async function removeIptables(config: Config): Promise<void> {
  const found = await possiblePrograms(config);
  const [first = programsNamed(config, "iptables"), ...others] = found;
  for (const programs of others) await removeRules(programs);
  const ports = { tcp: config.tcpPort, http: config.httpPort };
  await createIptablesBackend({ programs: first, families: [], ports }).cleanup();
}

/** Those that are there, the one to use first. */
async function foundPrograms(config: Config): Promise<readonly Programs[]> {
  const find = (...names: readonly string[]): Promise<readonly Programs[]> =>
    findIptables(names.map((name) => programsNamed(config, name)));
  if (config.iptablesBin !== "") return await find(config.iptablesBin);
  const found = await find(...IPTABLES_NAMES);
  // Where both kinds are named, `iptables` is one of them.
  return found.length > 0 ? found : await find("iptables");
}

/** Those by which something may have come, the one named by the operator included. */
async function possiblePrograms(config: Config): Promise<readonly Programs[]> {
  const { iptablesBin } = config;
  if (iptablesBin === "") return await foundPrograms(config);
  const beside = iptablesBin.includes("/") ? `${dirname(iptablesBin)}/` : "";
  const names = new Set([iptablesBin, ...IPTABLES_NAMES.map((name) => `${beside}${name}`)]);
  return await findIptables([...names].map((name) => programsNamed(config, name)));
}

function programsNamed(config: Config, name: string): Programs {
  const iptablesPath = name === "iptables" && config.iptablesBin !== "" ? config.iptablesBin : name;
  return createPrograms({ iptablesPath, ipsetPath: config.ipsetBin });
}
