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
import { VERSION } from "../agent/version.ts";
import { ENVOY_VERSION } from "../xds/mod.ts";
import { permissionFlags } from "./build/permissions.ts";
import { startControlPlane } from "./lab/control_plane.ts";
import { testUnless } from "./lab/testing.ts";
import { lightpathCommand } from "./lightpath_command.ts";
import { progress } from "./tool_path.ts";
import { ensureTool } from "./tools/mod.ts";
import { runProgram } from "./tools/run_program.ts";
import { DENO_VERSION } from "./tools/versions.ts";

const DEPLOY = fromFileUrl(new URL("../deploy/", import.meta.url));
const [kustomize, envoy, etcd, kubeApiserver] = await Promise.all([
  ensureTool("kustomize", { onProgress: progress }),
  ensureTool("envoy", { onProgress: progress }),
  ensureTool("etcd", { onProgress: progress }),
  ensureTool("kube-apiserver", { onProgress: progress }),
]);

/** How long an agent takes to end: it hands over, drains Envoy for --drain-time, and a program that programs the kernel has its own limit. */
const LONGEST_END_MS = 2_000 + 5_000 + 30_000;

/** Where objects of a kind are created; those without a namespace of their own in ours. */
const PATHS: Readonly<Record<string, string>> = {
  Namespace: "/api/v1/namespaces",
  ServiceAccount: "/api/v1/namespaces/lightpath-system/serviceaccounts",
  ConfigMap: "/api/v1/namespaces/lightpath-system/configmaps",
  ClusterRole: "/apis/rbac.authorization.k8s.io/v1/clusterroles",
  ClusterRoleBinding: "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
  DaemonSet: "/apis/apps/v1/namespaces/lightpath-system/daemonsets",
  Job: "/apis/batch/v1/namespaces/lightpath-system/jobs",
  Deployment: "/apis/apps/v1/namespaces/lightpath-system/deployments",
  PodDisruptionBudget: "/apis/policy/v1/namespaces/lightpath-system/poddisruptionbudgets",
  Role: "/apis/rbac.authorization.k8s.io/v1/namespaces/lightpath-system/roles",
  RoleBinding: "/apis/rbac.authorization.k8s.io/v1/namespaces/lightpath-system/rolebindings",
  Secret: "/api/v1/namespaces/lightpath-system/secrets",
  Service: "/api/v1/namespaces/lightpath-system/services",
  MutatingWebhookConfiguration: "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
  MutatingAdmissionPolicy: "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies",
  MutatingAdmissionPolicyBinding: "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicybindings",
};

interface Container {
  readonly name: string;
  readonly image: string;
  readonly args?: readonly string[];
  readonly envFrom?: readonly { readonly configMapRef: { readonly name: string } }[];
  readonly ports?: readonly unknown[];
  readonly securityContext: { readonly privileged?: boolean; readonly capabilities: unknown };
}

interface KubeObject {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly data?: Readonly<Record<string, string>>;
  readonly spec?: { readonly template?: { readonly spec: PodSpec } };
}

interface PodSpec {
  readonly terminationGracePeriodSeconds?: number;
  readonly containers: readonly Container[];
  readonly initContainers?: readonly Container[];
}

function build(folder: string): Promise<readonly KubeObject[]> {
  return buildFolder(`${DEPLOY}${folder}`);
}

async function buildFolder(path: string): Promise<readonly KubeObject[]> {
  const text = await runProgram(kustomize.path ?? "", ["build", path]);
  return parseAllDocuments(text).map((document) => document.toJS() as KubeObject);
}

function namesIn(folder: string): readonly string[] {
  return [...Deno.readDirSync(`${DEPLOY}${folder}`)].map(({ name }) => name).sort();
}

/** What else is applied as a whole. */
const FOLDERS: readonly string[] = [
  "admission/policy",
  "admission/webhook",
  "admission/webhook-cert-manager",
  "cleanup",
  "whoami",
];

/** Kinds that an API server has not by itself, but of cert-manager. */
const FOREIGN_KINDS: readonly string[] = ["Certificate", "Issuer"];

/** All that users apply. */
const APPLIED: readonly string[] = [
  ...namesIn("overlays").map((name) => `overlays/${name}`),
  ...FOLDERS,
];

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
      for (const name of ["lightpath-system", "lightpath-cleanup"]) {
        await plane.call("POST", "/api/v1/namespaces", {
          apiVersion: "v1",
          kind: "Namespace",
          metadata: { name },
        });
      }
      const isTaken = async (objects: readonly KubeObject[]): Promise<void> => {
        for (const object of objects) {
          if (object.kind === "Namespace" || FOREIGN_KINDS.includes(object.kind)) continue;
          const path = PATHS[object.kind] ?? fail(`deploy/ has a ${object.kind}`);
          const there = path.replace("lightpath-system", object.metadata.namespace ?? "lightpath-system");
          await plane.call("POST", `${there}?dryRun=All&fieldValidation=Strict`, object);
        }
      };
      const overlays = namesIn("overlays");
      assertEquals(overlays, ["eager", "hybrid", "hybrid-policy", "kind", "redirect-iptables", "standalone"]);
      for (const overlay of overlays) {
        await t.step(overlay, async () => {
          const objects = await build(`overlays/${overlay}`);
          await isTaken(objects);
          takesItsSettings(objects);
          await envoyTakesItsArguments(containersOf(objects), dir);
        });
      }
      for (const folder of FOLDERS) await t.step(folder, async () => await isTaken(await build(folder)));
      const created = new Set<string>();
      for (const scenario of namesIn("bench/scenarios")) {
        await t.step(`bench/scenarios/${scenario}`, async () => {
          const objects = await build(`bench/scenarios/${scenario}`);
          for (const object of objects.filter(({ kind }) => kind === "Namespace")) {
            if (!created.has(object.metadata.name)) await plane.call("POST", "/api/v1/namespaces", object);
            created.add(object.metadata.name);
          }
          await isTaken(objects);
        });
      }
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  },
);

testUnless("beside kube-proxy new Services get the label, in each way that there is", {
  unavailable: [kustomize.unavailable],
}, async () => {
  const kindsOf = async (overlay: string): Promise<ReadonlySet<string>> =>
    new Set((await build(`overlays/${overlay}`)).map(({ kind }) => kind));
  assertEquals((await kindsOf("hybrid")).has("MutatingWebhookConfiguration"), true);
  assertEquals((await kindsOf("hybrid")).has("MutatingAdmissionPolicy"), false);
  assertEquals((await kindsOf("hybrid-policy")).has("MutatingAdmissionPolicy"), true);
  assertEquals((await kindsOf("hybrid-policy")).has("MutatingWebhookConfiguration"), false);
});

testUnless("who may read the ranges for Services is who drops what no Service has: not beside kube-proxy", {
  unavailable: [kustomize.unavailable],
}, async () => {
  const readers: string[] = [];
  for (const overlay of namesIn("overlays")) {
    const text = JSON.stringify(await build(`overlays/${overlay}`));
    if (text.includes('"servicecidrs"')) readers.push(overlay);
  }
  assertEquals(readers, ["eager", "kind", "redirect-iptables", "standalone"]);
});

testUnless("metrics for Prometheus are on a port that a kube-proxy beside has not", {
  unavailable: [kustomize.unavailable],
}, async () => {
  const folder = await Deno.makeTempDir({ prefix: "lightpath-deploy-" });
  try {
    // Of what is outside of its folder kustomize takes relative paths only.
    const up = `${(await Deno.realPath(folder)).split("/").slice(1).map(() => "..").join("/")}${DEPLOY}`;
    for (const overlay of ["standalone", "hybrid"]) {
      const kustomization = {
        resources: [`${up}overlays/${overlay}`],
        components: [`${up}components/monitoring`],
      };
      await Deno.writeTextFile(join(folder, "kustomization.yaml"), JSON.stringify(kustomization));
      const objects = await buildFolder(folder);
      assertEquals(objects.some(({ kind }) => kind === "PodMonitor"), true);
      takesItsSettings(objects);
      const address = objects.find(({ kind, metadata }) =>
        kind === "ConfigMap" && /^lightpath-/.test(metadata.name)
      )
        ?.data?.["LIGHTPATH_METRICS_BIND_ADDRESS"];
      const ports = containersOf(objects).flatMap(({ ports = [] }) => ports);
      assertEquals([address, ports], ["0.0.0.0:10269", [{
        name: "metrics",
        containerPort: 10269,
        hostPort: 10269,
      }]]);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

testUnless("containers name no file by their arguments that the image's program may not read", {
  unavailable: [kustomize.unavailable],
}, async () => {
  const readable = permissionFlags().find((flag) => flag.startsWith("--allow-read="))?.split("=")[1]
    ?.split(",") ?? [];
  for (const folder of APPLIED) {
    for (const { spec } of await build(folder)) {
      const { containers = [], initContainers = [] } = spec?.template?.spec ?? {};
      const unreadable = [...containers, ...initContainers].flatMap(({ args = [] }) => args)
        .flatMap((word) => /^--[a-z-]+=(\/.+)$/.exec(word)?.[1] ?? [])
        .filter((path) => !readable.some((known) => path.startsWith(`${known}/`)));
      assertEquals(unreadable, [], folder);
    }
  }
});

testUnless("all of deploy/ names the image of this version, as the Dockerfile builds it", {
  unavailable: [kustomize.unavailable],
}, async () => {
  const image = `lightpath/lightpath:${VERSION}`;
  for (const folder of APPLIED) {
    for (const { spec } of await build(folder)) {
      const { containers = [], initContainers = [] } = spec?.template?.spec ?? {};
      const foreign = [...containers, ...initContainers].map((one) => one.image)
        .filter((name) =>
          name !== image && !/^(envoyproxy\/envoy|registry\.k8s\.io\/pause|traefik\/whoami):/.test(name)
        );
      assertEquals(foreign, [], folder);
    }
  }
  const dockerfile = await Deno.readTextFile(`${DEPLOY}../Dockerfile`);
  assertEquals(dockerfile.includes(`docker build -t ${image} .`), true);
  assertEquals(dockerfile.includes(`denoland/deno:debian-${DENO_VERSION} `), true);
});

/** What the containers are started with is known to the program, the image is that of the Envoy it is made for, and none is privileged. */
function takesItsSettings(objects: readonly KubeObject[]): void {
  const maps = new Map(objects.map((object) => [`${object.kind} ${object.metadata.name}`, object.data]));
  assertEquals(Number(podOf(objects).terminationGracePeriodSeconds) * 1000 > LONGEST_END_MS, true);
  const containers = containersOf(objects);
  assertEquals(containers.map(({ name }) => name), ["bootstrap", "envoy", "agent"]);
  for (const { name, image, args = [], envFrom, securityContext } of containers) {
    assertEquals(securityContext.privileged, undefined);
    if (name === "envoy") {
      assertEquals(image.endsWith(`-v${ENVOY_VERSION}`), true, image);
      continue;
    }
    const map = envFrom?.[0]?.configMapRef.name;
    const env = maps.get(`ConfigMap ${map}`) ?? fail(`no ConfigMap ${map}`);
    const line = parseCommandLine(args, {
      env: { ...env, NODE_NAME: "node-1", LIGHTPATH_NODE_IP: "192.0.2.1,2001:db8::1" },
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
  const here = (container.args ?? []).map((word) => word.replace("/run/lightpath/envoy.yaml", config));
  await runProgram(envoy.path ?? "", [...here, "--mode", "validate"]);
}

function podOf(objects: readonly KubeObject[]): PodSpec {
  return objects.find(({ kind }) => kind === "DaemonSet")?.spec?.template?.spec ?? fail("no DaemonSet");
}

function containersOf(objects: readonly KubeObject[]): readonly Container[] {
  const { initContainers = [], containers } = podOf(objects);
  return [...initContainers, ...containers];
}
