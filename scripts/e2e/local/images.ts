/**
 * The images of the local backend: programs of this machine under the names that the manifests use.
 *
 * In: folders of bundles, the programs' paths. Out: by image name, what a container of it starts and sees.
 * Invariant: an image that is not here is refused by name, as a registry would.
 * @module
 */
import { dirname } from "@std/path/dirname";
import { fromFileUrl } from "@std/path/from-file-url";
import { permissionFlags } from "../../build/permissions.ts";
import { bundledFlags } from "../../lightpath_command.ts";
import { cacheDir } from "../../tools/mod.ts";
import type { Images } from "../cluster.ts";
import type { ContainerMount } from "./container_root.ts";

/** See the module's comment. */
export interface LocalImage {
  /** Before the arguments; empty where the manifest says the command. */
  readonly entrypoint: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly mounts: readonly ContainerMount[];
}

/** Names of the images, as the manifests have them. */
export const LOCAL_IMAGES: Images = {
  current: "lightpath/lightpath:e2e-current",
  previous: "lightpath/lightpath:e2e-previous",
  tools: "lightpath/e2e-tools:current",
  kubeProxy: "kube-proxy:local",
};

/** Where bundles and Deno are in the containers. */
const BUNDLE = "/image/lightpath";
const DENO = "/image/bin/deno";

/** All of them. */
export function localImages(options: {
  /** Folders of bundles. */
  readonly bundles: { readonly current: string; readonly previous: string };
  /** Of scripts/tools. */
  readonly toolPath: string;
}): ReadonlyMap<string, LocalImage> {
  const { bundles, toolPath } = options;
  const cache = cacheDir();
  const base = [{ from: Deno.execPath(), to: DENO }, { from: cache, to: cache }];
  const env = {
    PATH: `${dirname(DENO)}:${toolPath}:/usr/sbin:/sbin`,
    HOME: "/tmp",
    DENO_DIR: "/tmp/deno",
    // /lab is this checkout's folder.
    PYTHONDONTWRITEBYTECODE: "1",
  };
  const lightpath = (bundle: string, permissions: readonly string[]): LocalImage => ({
    entrypoint: [DENO, "run", ...bundledFlags(permissions), `${BUNDLE}/mod.js`],
    env,
    mounts: [...base, { from: bundle, to: BUNDLE }],
  });
  const lab = fromFileUrl(new URL("../../lab/", import.meta.url));
  return new Map<string, LocalImage>([
    [LOCAL_IMAGES.current, lightpath(bundles.current, permissionFlags())],
    // What it needed is not known here.
    [LOCAL_IMAGES.previous, lightpath(bundles.previous, ["--allow-all"])],
    [LOCAL_IMAGES.tools, { entrypoint: [], env, mounts: [...base, { from: lab, to: "/lab" }] }],
    [LOCAL_IMAGES.kubeProxy, { entrypoint: [], env, mounts: base }],
    ["envoyproxy/envoy", { entrypoint: [], env, mounts: base }],
  ]);
}

/** The image of a container; of Envoy's any tag is the Envoy that Lightpath is made for. @throws {TypeError} */
export function findImage(images: ReadonlyMap<string, LocalImage>, name: string): LocalImage {
  const found = images.get(name) ?? images.get(name.replace(/:[^:/]*$/, ""));
  if (found === undefined) throw new TypeError(`there is no image ${name} on this machine`);
  return found;
}
