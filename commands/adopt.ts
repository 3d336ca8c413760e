/**
 * `lightpath adopt`: gives Services that exist the label by which Lightpath serves them beside kube-proxy, or takes it away
 * with `--release`. Says of each what it does and why; with `--dry-run` it only says so.
 * @module
 */
import { type AdoptAction, type AdoptedService, adoptServices } from "../admission/adopt.ts";
import { DEFAULT_PROXY_NAME } from "../admission/judge_adoption.ts";
import { createObjectClient } from "../agent/kube/mod.ts";
import { AdoptError } from "./adopt_error.ts";
import type { CommandContext } from "./context.ts";

/** Adopts, and prints a line for each Service. @throws {AdoptError | KubeApiError | KubeConfigError | OutputError} */
export async function runAdopt({ config, print, signal }: CommandContext): Promise<void> {
  const { kubeconfig, context, namespace, release, dryRun, serviceProxyName, excludeNamespaces } = config;
  const client = await createObjectClient({
    kubeconfig: kubeconfig === "" ? undefined : kubeconfig,
    context: context === "" ? undefined : context,
    needed: { Service: ["get", "list", "patch"] },
    clusterWide: namespace === "",
  });
  const proxyName = serviceProxyName === "" ? DEFAULT_PROXY_NAME : serviceProxyName;
  const tally = new Tally();
  const adopted = adoptServices({
    client,
    rules: { proxyName, excludedNamespaces: excludeNamespaces },
    release,
    dryRun,
    namespace: namespace === "" ? undefined : namespace,
  }, signal);
  for await (const one of adopted) {
    tally.add(one);
    await print(renderAdopted(one, dryRun));
  }
  await print(tally.render({ dryRun, release, namespace }));
  if (tally.failed === 0) return;
  throw new AdoptError(
    `${tally.failed} of ${tally.total} Services could not be changed; the first: ${tally.firstFailure}`,
  );
}

const DONE: Readonly<Record<AdoptAction["kind"], string>> = {
  label: "labelled",
  release: "released",
  leave: "left",
};
const WOULD_BE: Readonly<Record<AdoptAction["kind"], string>> = {
  label: "would be labelled",
  release: "would be released",
  leave: "left",
};

/** `labelled default/echo: it has 80/TCP`. */
export function renderAdopted({ service, action, failure }: AdoptedService, dryRun: boolean): string {
  if (failure !== undefined) return `failed ${service}: ${failure}\n`;
  return `${(dryRun ? WOULD_BE : DONE)[action.kind]} ${service}: it ${action.because}\n`;
}

/** What was done in all. */
class Tally {
  total = 0;
  failed = 0;
  firstFailure = "";
  readonly #count = { label: 0, release: 0, leave: 0 };

  add({ service, action, failure }: AdoptedService): void {
    this.total++;
    if (failure === undefined) this.#count[action.kind]++;
    else if (this.failed++ === 0) this.firstFailure = `${service}: ${failure}`;
  }

  render(
    { dryRun, release, namespace }: {
      readonly dryRun: boolean;
      readonly release: boolean;
      readonly namespace: string;
    },
  ): string {
    if (this.total === 0) {
      return `there is no Service${namespace === "" ? "" : ` in namespace ${namespace}`}\n`;
    }
    const kind = release ? "release" : "label";
    const changed = `${this.#count[kind]} ${(dryRun ? WOULD_BE : DONE)[kind]}`;
    const failed = this.failed === 0 ? "" : `, ${this.failed} failed`;
    return `${changed}, ${this.#count.leave} left${failed}${dryRun ? " (nothing was changed)" : ""}\n`;
  }
}
