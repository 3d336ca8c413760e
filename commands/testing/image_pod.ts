/**
 * A pod of deploy/ on a node of the lab: the containers as its manifests have them, in the image's own file system.
 *
 * In: a folder of deploy/. Out: for each container the words that run it, with its arguments, environment, user, capabilities and mounts, on a
 * read-only root. The image is made by deploy/image/make_root.sh, as docker makes it; the program is the bundle, run by this Deno with
 * the permissions of the executable that the image has. Envoy is the lab's, in the lab's file system.
 * What the kubelet does is done here: emptyDir and hostPath volumes are folders of the lab's own /run.
 * @module
 */
import { fail } from "@std/assert/fail";
import { basename } from "@std/path/basename";
import { dirname } from "@std/path/dirname";
import { fromFileUrl } from "@std/path/from-file-url";
import { join } from "@std/path/join";
import { parseAllDocuments } from "yaml";
import { bundledFlags, bundleIntoFile } from "../../scripts/lightpath_command.ts";
import { permissionFlags } from "../../scripts/build/permissions.ts";
import { progress } from "../../scripts/tool_path.ts";
import { ensureTool } from "../../scripts/tools/mod.ts";
import { runProgram } from "../../scripts/tools/run_program.ts";
import { ensureImageRoot } from "./image_root.ts";

const CONTAIN = fromFileUrl(new URL("./contain.py", import.meta.url));
const DEPLOY = fromFileUrl(new URL("../../deploy/", import.meta.url));
/** Of the Dockerfile; the kubelet adds the last. */
const IMAGE_ENVIRONMENT = { PATH: "/usr/sbin:/usr/bin", HOME: "/" };

const kustomize = await ensureTool("kustomize", { onProgress: progress });
const root = await ensureImageRoot({ onProgress: progress });

/** Why these tests cannot run here; undefined when they can. */
export const imageUnavailable: readonly (string | undefined)[] = [
  kustomize.unavailable,
  Deno.uid() === 0 ? undefined : "a container's root takes root",
  root.unavailable,
];

interface Container {
  readonly name: string;
  readonly command?: readonly string[];
  readonly args: readonly string[];
  readonly env?: readonly { readonly name: string; readonly value?: string; readonly valueFrom?: unknown }[];
  readonly securityContext: {
    readonly runAsUser?: number;
    readonly readOnlyRootFilesystem: boolean;
    readonly capabilities: { readonly drop: readonly string[]; readonly add?: readonly string[] };
  };
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[];
}

interface Volume {
  readonly name: string;
  readonly hostPath?: { readonly path: string };
}

interface PodSpec {
  readonly securityContext?: { readonly runAsUser?: number };
  readonly containers: readonly Container[];
  readonly initContainers?: readonly Container[];
  readonly volumes?: readonly Volume[];
}

/** What a test adds to a container. */
export interface ContainerOptions {
  /** Settings, as lines of the ConfigMap. */
  readonly env?: Readonly<Record<string, string>>;
  /** Folders of the lab, by where the container has them; read-only. */
  readonly mounts?: Readonly<Record<string, string>>;
  /** In place of the container's. */
  readonly args?: readonly string[];
  /** In place of the executable's. */
  readonly permissions?: readonly string[];
  /** What stands for the node's /run, in which volumes are. @default the lab's own */
  readonly run?: string;
}

/** See the module's comment. */
export class ImagePod implements AsyncDisposable {
  readonly #pod: PodSpec;
  readonly #config: Readonly<Record<string, string>>;
  /** The image's file system, and the program. */
  readonly #folder: string;

  private constructor(pod: PodSpec, config: Readonly<Record<string, string>>, folder: string) {
    this.#pod = pod;
    this.#config = config;
    this.#folder = folder;
  }

  /** The pod of a DaemonSet or Deployment in a folder of deploy/. */
  static async create(manifests: string, kind: "DaemonSet" | "Deployment" = "DaemonSet"): Promise<ImagePod> {
    const text = await runProgram(kustomize.path ?? "", ["build", `${DEPLOY}${manifests}`]);
    const objects = parseAllDocuments(text).map((document) => document.toJS());
    const pod = objects.find((object) => object.kind === kind)?.spec.template.spec ?? fail(`no ${kind}`);
    const config = objects.find((object) => object.kind === "ConfigMap")?.data ?? {};
    const folder = await Deno.makeTempDir({ prefix: "lightpath-image-" });
    try {
      await runProgram("cp", ["-a", root.path ?? "", join(folder, "root")]);
      await bundleIntoFile(join(folder, "program", "lightpath.js"));
    } catch (error) {
      await Deno.remove(folder, { recursive: true });
      throw error;
    }
    return new ImagePod(pod, config, folder);
  }

  /** The words that run a container in the node's namespaces. */
  container(name: string, options: ContainerOptions = {}): readonly string[] {
    const one = this.#find(name);
    const { readOnlyRootFilesystem, capabilities } = one.securityContext;
    if (!readOnlyRootFilesystem || String(capabilities.drop) !== "ALL") {
      fail(`${name} may do more than is said`);
    }
    const program = [
      `/opt/deno/${basename(Deno.execPath())}`,
      "run",
      ...bundledFlags(options.permissions ?? permissionFlags()),
      "/opt/lightpath/lightpath.js",
    ];
    const env = { ...IMAGE_ENVIRONMENT, ...this.#config, ...environmentOf(one), ...options.env };
    return contained({
      root: join(this.#folder, "root"),
      mounts: [
        ...this.#mounts(one, options.run ?? "/run"),
        ...Object.entries(options.mounts ?? {}).map(([target, source]) => ({
          source,
          target,
          writable: false,
        })),
        { source: dirname(Deno.execPath()), target: "/opt/deno", writable: false },
        { source: join(this.#folder, "program"), target: "/opt/lightpath", writable: false },
      ],
      capabilities: capabilities.add ?? [],
      user: this.#userOf(one),
      env,
      command: [...program, ...(options.args ?? one.args)],
    });
  }

  /** The same for Envoy, which has another image: with the container's arguments and capabilities, in the node's file system. */
  envoy(binary: string): readonly string[] {
    const one = this.#find("envoy");
    return contained({
      root: "/",
      mounts: [],
      capabilities: one.securityContext.capabilities.add ?? [],
      user: this.#userOf(one),
      env: IMAGE_ENVIRONMENT,
      command: [binary, ...one.args],
    });
  }

  /** The words that make the folders which stand for volumes. To be run first, once. */
  prepare(run = "/run"): readonly string[] {
    return [
      "sh",
      "-c",
      `mkdir -p ${run}/lightpath ${run}/host/var/lib/lightpath && touch ${run}/xtables.lock`,
    ];
  }

  #find(name: string): Container {
    const { containers, initContainers = [] } = this.#pod;
    return [...initContainers, ...containers].find((one) => one.name === name) ??
      fail(`no container ${name}`);
  }

  #userOf({ securityContext }: Container): number {
    return securityContext.runAsUser ?? this.#pod.securityContext?.runAsUser ?? fail("which user?");
  }

  #mounts({ volumeMounts = [] }: Container, run: string): readonly Mount[] {
    return volumeMounts.map(({ name, mountPath }) => {
      const volume = this.#pod.volumes?.find((one) => one.name === name) ?? fail(`no volume ${name}`);
      return { source: sourceOf(volume, run), target: mountPath, writable: true };
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.#folder, { recursive: true });
  }
}

interface Mount {
  readonly source: string;
  readonly target: string;
  readonly writable: boolean;
}

/** What `contain.py` takes. */
interface Spec {
  readonly root: string;
  readonly mounts: readonly Mount[];
  readonly capabilities: readonly string[];
  readonly user: number;
  readonly env: Readonly<Record<string, string>>;
  readonly command: readonly string[];
}

function contained(spec: Spec): readonly string[] {
  return ["unshare", "-m", "python3", CONTAIN, JSON.stringify(spec)];
}

/** Where a volume is: those of the kernel as they are, the others where they leave no trace. */
function sourceOf({ hostPath }: Volume, run: string): string {
  if (hostPath === undefined) return `${run}/lightpath`;
  if (hostPath.path.startsWith("/proc/")) return hostPath.path;
  return hostPath.path.replace(/^\/run\//, `${run}/`).replace(/^\/var\//, `${run}/host/var/`);
}

/** What the kubelet would fill in is left to the test, but for what it has to be told. */
function environmentOf({ env = [] }: Container): Readonly<Record<string, string>> {
  return Object.fromEntries(
    env.flatMap(({ name, value }) =>
      value !== undefined ? [[name, value]] : name === "NODE_NAME" ? [[name, "node-1"]] : []
    ),
  );
}
