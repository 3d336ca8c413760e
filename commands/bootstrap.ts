/**
 * `lightpath bootstrap`: writes the configuration an Envoy beside the agent has to be started with.
 *
 * The agent that runs Envoy itself takes the same text from here, so both kinds of Envoy are alike.
 * @module
 */
import { stringify } from "yaml";
import type { Config } from "../agent/config.ts";
import { IP_FAMILIES, type IPFamily, rangesByFamily } from "../agent/model/mod.ts";
import { availableFamilies } from "../agent/node_addresses.ts";
import { type AdsAddress, bootstrap, type Json } from "../xds/mod.ts";
import { type CommandContext, OutputError } from "./context.ts";

/** Writes the bootstrap to `--output`, with mode 0600 when that is a file. @throws {OutputError} */
export async function runBootstrap({ config, print }: CommandContext): Promise<void> {
  const json = bootstrapFor(config, servedFamilies(config));
  const text = config.format === "yaml" ? stringify(json) : `${JSON.stringify(json, null, 2)}\n`;
  if (config.output === "-") {
    await print(text);
    return;
  }
  try {
    await Deno.writeTextFile(config.output, text, { mode: 0o600 });
  } catch (cause) {
    throw new OutputError(`${config.output} (--output)`, cause);
  }
}

/** The bootstrap that fits the agent's configuration. */
export function bootstrapFor(config: Config, families: readonly IPFamily[]): Json {
  const { nodeName, mode, tcpPort, httpPort, envoyAdminSocket } = config;
  return bootstrap({
    nodeName,
    mode,
    tcpPort,
    httpPort,
    families,
    adsAddress: adsAddressOf(config),
    adminSocket: envoyAdminSocket,
  });
}

/** Where the agent listens for Envoy. */
export function adsAddressOf({ adsAddress, adsSocket }: Config): AdsAddress {
  return adsAddress === undefined
    ? { kind: "unix", path: adsSocket }
    : { kind: "tcp", host: adsAddress.hostname, port: adsAddress.port };
}

/** The families of `--ip-families`; `auto` looks at this machine. */
export function servedFamilies({ ipFamilies }: Config): readonly IPFamily[] {
  switch (ipFamilies) {
    case "auto":
      return availableFamilies(Deno.networkInterfaces());
    case "dual":
      return IP_FAMILIES;
    case "IPv4":
    case "IPv6":
      return [ipFamilies];
    default:
      return ipFamilies satisfies never;
  }
}

/** Ranges by family; those of a family that is not served are left alone. */
export function servedRanges(
  cidrs: readonly string[],
  families: readonly IPFamily[],
): Readonly<Record<IPFamily, readonly string[]>> {
  const { IPv4, IPv6 } = rangesByFamily(cidrs);
  return { IPv4: families.includes("IPv4") ? IPv4 : [], IPv6: families.includes("IPv6") ? IPv6 : [] };
}
