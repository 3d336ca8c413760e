/**
 * The manifests in deploy/ as users apply them: each overlay is built, its objects are taken by a real API server, its settings by
 * the program.
 * @module
 */
import { assertEquals } from "@std/assert/equals";
import { fail } from "@std/assert/fail";
import { fromFileUrl } from "@std/path/from-file-url";
import { join } from "@std/path/join";
import { parseAllDocuments } from "yaml";
import { parseCommandLine } from "../agent/config.ts";
import { ENVOY_VERSION } from "../xds/mod.ts";
import { startControlPlane } from "./lab/control_plane.ts";
import { testUnless } from "./lab/testing.ts";
import { lightpathCommand } from "./lightpath_command.ts";
import { progress } from "./tool_path.ts";
import { ensureTool } from "./tools/mod.ts";
import { runProgram } from "./tools/run_program.ts";

const OVERLAYS = fromFileUrl(new URL("../deploy/overlays/", import.meta.url));
const [kustomize, envoy, etcd, kubeApiserver] = await Promise.all([
  ensureTool("kustomize", { onProgress: progress }),
  ensureTool("envoy", { onProgress: progress }),
  ensureTool("etcd", { onProgress: progress }),
  ensureTool("kube-apiserver", { onProgress: progress }),
]);

/** Where objects of a kind are created. */
const PATHS: Readonly<Record<string, string>> = {
  Namespace: "/api/v1/namespaces",
  ServiceAccount: "/api/v1/namespaces/lightpath-system/serviceaccounts",
  ConfigMap: "/api/v1/namespaces/lightpath-system/configmaps",
  ClusterRole: "/apis/rbac.authorization.k8s.io/v1/clusterroles",
  ClusterRoleBinding: "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
  DaemonSet: "/apis/apps/v1/namespaces/lightpath-system/daemonsets",
};

interface Container {
  readonly name: string;
  readonly image: string;
  readonly args: readonly string[];
  readonly envFrom?: readonly { readonly configMapRef: { readonly name: string } }[];
  readonly securityContext: { readonly privileged?: boolean; readonly capabilities: unknown };
}

interface KubeObject {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly data?: Readonly<Record<string, string>>;
  readonly spec?: {
    readonly template: {
      readonly spec: Readonly<Record<"containers" | "initContainers", readonly Container[]>>;
    };
  };
}

async function build(overlay: string): Promise<readonly KubeObject[]> {
  const text = await runProgram(kustomize.path ?? "", ["build", `${OVERLAYS}${overlay}`]);
  return parseAllDocuments(text).map((document) => document.toJS() as KubeObject);
}

const unavailable = [kustomize, envoy, etcd, kubeApiserver].map((tool) => tool.unavailable);

testUnless(
  "each overlay of deploy/ is taken by a real API server, and by the program",
  { unavailable },
  async (t) => {
    const dir = await Deno.makeTempDir({ prefix: "lp-" });
    try {
      await using plane = await startControlPlane({
        etcd: etcd.path ?? "",
        kubeApiserver: kubeApiserver.path ?? "",
        dir,
        signal: AbortSignal.timeout(180_000),
      });
      // A dry run creates no namespace for what comes after it.
      await plane.call("POST", "/api/v1/namespaces", {
        apiVersion: "v1",
        kind: "Namespace",
        metadata: { name: "lightpath-system" },
      });
      const overlays = [...Deno.readDirSync(OVERLAYS)].map(({ name }) => name).sort();
      assertEquals(overlays, ["eager", "hybrid", "kind", "redirect-iptables", "standalone"]);
      for (const overlay of overlays) {
        await t.step(overlay, async () => {
          const objects = await build(overlay);
          for (const object of objects) {
            if (object.kind === "Namespace") continue;
            const path = PATHS[object.kind] ?? fail(`deploy/ has a ${object.kind}`);
            await plane.call("POST", `${path}?dryRun=All&fieldValidation=Strict`, object);
          }
          takesItsSettings(objects);
          await envoyTakesItsArguments(containersOf(objects), dir);
        });
      }
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  },
);

/** What the containers are started with is known to the program, the image is that of the Envoy it is made for, and none is privileged. */
function takesItsSettings(objects: readonly KubeObject[]): void {
  const maps = new Map(objects.map((object) => [`${object.kind} ${object.metadata.name}`, object.data]));
  const containers = containersOf(objects);
  assertEquals(containers.map(({ name }) => name), ["bootstrap", "envoy", "agent"]);
  for (const { name, image, args, envFrom, securityContext } of containers) {
    assertEquals(securityContext.privileged, undefined);
    if (name === "envoy") {
      assertEquals(image.endsWith(`-v${ENVOY_VERSION}`), true, image);
      continue;
    }
    const map = envFrom?.[0]?.configMapRef.name;
    const env = maps.get(`ConfigMap ${map}`) ?? fail(`no ConfigMap ${map}`);
    const line = parseCommandLine(args, {
      env: { ...env, NODE_NAME: "node-1", LIGHTPATH_ZONE: "", LIGHTPATH_NODE_IP: "192.0.2.1,2001:db8::1" },
      hostname: () => "node-1",
      readTextFile: () => fail("no file is named"),
    });
    assertEquals(line.kind, "run", line.kind === "error" ? line.message : "");
  }
}

/** The real Envoy reads its command line as the manifest has it, and what `bootstrap` writes. */
async function envoyTakesItsArguments(containers: readonly Container[], dir: string): Promise<void> {
  const container: Container = containers.find(({ name }) => name === "envoy") ?? fail("no Envoy");
  const config = join(dir, "envoy.yaml");
  const [program = "", ...before] = lightpathCommand();
  await runProgram(program, [...before, "bootstrap", `--output=${config}`, "--node-name=node-1"]);
  const here = container.args.map((word) => word.replace("/run/lightpath/envoy.yaml", config));
  await runProgram(envoy.path ?? "", [...here, "--mode", "validate"]);
}

function containersOf(objects: readonly KubeObject[]): readonly Container[] {
  const pod = objects.find(({ kind }) => kind === "DaemonSet")?.spec?.template.spec ?? fail("no DaemonSet");
  return [...pod.initContainers, ...pod.containers];
}
