/**
 * `lightpath adopt` with real Services of a real API server, with the rights of deploy/admission and no more.
 * @module
 */
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { adoptServices } from "../admission/adopt.ts";
import { SERVICE_CASES, type ServiceCase } from "../admission/testing/service_cases.ts";
import { createObjectClient, type Fields, type ObjectClient } from "../agent/kube/mod.ts";
import { AdmissionLab, admissionLabTools } from "./testing/admission_lab.ts";
import { LIGHTPATH } from "./testing/lightpath_process.ts";

const NAME = "adopt at a real kube-apiserver";
const RBAC = "/apis/rbac.authorization.k8s.io/v1";

const tools = await admissionLabTools();
if ("unavailable" in tools) {
  Deno.test({ name: `${NAME} (skipped: ${tools.unavailable})`, ignore: true, fn: () => {} });
} else {
  Deno.test(NAME, async (t) => {
    await using lab = await AdmissionLab.start(tools);
    await lab.plane.call("POST", "/api/v1/namespaces/lightpath-system/serviceaccounts", {
      metadata: { name: "adopter" },
    });
    const kubeconfig = await lab.kubeconfigOf("adopter");
    for (const one of SERVICE_CASES) assertEquals((await lab.create(one)).status, 201, one.name);
    await t.step("names the rights that are missing", () => lacksRights(lab, kubeconfig));
    await t.step("a dry run says what would be done, and does nothing", () => runsDry(lab, kubeconfig));
    await t.step("labels what the webhook would have labelled", () => adopts(lab, kubeconfig));
    await t.step("takes its own label away again, and nobody else's", () => releases(lab, kubeconfig));
    await t.step("judges a Service again that changed meanwhile", () => meetsOthers(lab));
    await t.step("reads long lists in parts", () => listsInParts(lab));
    await t.step("keeps to one namespace, with a Role there", () => keepsToNamespace(lab));
  });
}

interface Adopted {
  readonly code: number;
  readonly lines: readonly string[];
  /** What it said last on standard error, if anything. */
  readonly error: string;
}

async function adopt(kubeconfig: string, ...flags: readonly string[]): Promise<Adopted> {
  const [program = "", ...args] = LIGHTPATH;
  const command = new Deno.Command(program, {
    args: [...args, "adopt", `--kubeconfig=${kubeconfig}`, ...flags],
    stdin: "null",
  });
  const { code, stdout, stderr } = await command.output();
  const text = (bytes: Uint8Array): readonly string[] =>
    new TextDecoder().decode(bytes).trimEnd().split("\n");
  const error = /^\S+ ERROR (.*)$/.exec(text(stderr).at(-1) ?? "")?.[1] ?? "";
  return { code, lines: text(stdout), error };
}

/** What the labels of all cases say. */
async function labelsOf(lab: AdmissionLab): Promise<Readonly<Record<string, string | undefined>>> {
  const labels = await Promise.all(
    SERVICE_CASES.map(async (one) => [nameOf(one), await lab.proxyNameOf(one)]),
  );
  return Object.fromEntries(labels);
}

function nameOf({ name, namespace = "default" }: ServiceCase): string {
  return `${namespace}/${name}`;
}

/** What they said when they were created. */
const AS_CREATED = Object.fromEntries(SERVICE_CASES.map((one) => [
  nameOf(one),
  one.proxyName === "lightpath.cloud" ? undefined : one.proxyName,
]));
const ADOPTED = Object.fromEntries(SERVICE_CASES.map((one) => [nameOf(one), one.proxyName]));
const COUNT = SERVICE_CASES.filter(({ proxyName }) => proxyName === "lightpath.cloud").length;

async function lacksRights(lab: AdmissionLab, kubeconfig: string): Promise<void> {
  const nothing = await adopt(kubeconfig);
  assertEquals([nothing.code, nothing.lines], [1, [""]]);
  assertMatch(
    nothing.error,
    /may not list services at cluster scope: grant it by a ClusterRole with the rule \{apiGroups: \[""\], resources: \["services"\], verbs: \["get", "list", "patch"\]\}/,
  );
  // The role as it is, but for the right to write.
  await lab.apply("adopt_rbac.yaml");
  const path = `${RBAC}/clusterroles/lightpath-adopt`;
  const role = await lab.plane.call("GET", path) as { readonly rules: readonly [Record<string, unknown>] };
  await lab.plane.call("PUT", path, { ...role, rules: [{ ...role.rules[0], verbs: ["get", "list"] }] });
  await lab.plane.call("POST", `${RBAC}/clusterrolebindings`, {
    metadata: { name: "adopter" },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "lightpath-adopt" },
    subjects: [{ kind: "ServiceAccount", name: "adopter", namespace: "lightpath-system" }],
  });
  const readOnly = await adopt(kubeconfig);
  assertEquals(readOnly.code, 1);
  assertMatch(
    readOnly.error,
    new RegExp(`^${COUNT} of \\d+ Services could not be changed; the first: default/\\S+: Light`),
  );
  assertMatch(readOnly.error, /may not patch services at cluster scope: grant it by a ClusterRole/);
  assertEquals(readOnly.lines.filter((line) => line.startsWith("failed ")).length, COUNT);
  assertEquals(await labelsOf(lab), AS_CREATED);
  const { metadata } = await lab.plane.call("GET", path) as { readonly metadata: unknown };
  await lab.plane.call("PUT", path, { ...role, metadata });
}

async function runsDry(lab: AdmissionLab, kubeconfig: string): Promise<void> {
  const { code, lines, error } = await adopt(kubeconfig, "--dry-run");
  assertEquals([code, error], [0, ""]);
  assertEquals(await labelsOf(lab), AS_CREATED);
  const label = "service.kubernetes.io/service-proxy-name";
  for (
    const line of [
      "would be labelled default/several: it has 53/UDP, 53/TCP",
      `left default/foreign: it is another proxy's by its label ${label}: cilium`,
      "left default/opt-out: it opts out by its annotation lightpath.cloud/proxy: disabled",
      "left default/headless: it is headless (its clusterIP is None): clients connect to its pods themselves",
      "left kube-system/dns: it is in the namespace kube-system, which is excluded (--exclude-namespaces)",
      "left default/kubernetes: it is the API server's own, which the agents themselves may need to reach it",
    ]
  ) assertEquals(lines.filter((one) => one === line), [line]);
  assertEquals(
    lines.at(-1),
    `${COUNT} would be labelled, ${lines.length - 1 - COUNT} left (nothing was changed)`,
  );
}

async function adopts(lab: AdmissionLab, kubeconfig: string): Promise<void> {
  const { code, lines, error } = await adopt(kubeconfig);
  assertEquals([code, error], [0, ""]);
  assertEquals(await labelsOf(lab), ADOPTED);
  assertEquals(lines.at(-1), `${COUNT} labelled, ${lines.length - 1 - COUNT} left`);
  const again = await adopt(kubeconfig);
  assertEquals(again.lines.at(-1), `0 labelled, ${lines.length - 1} left`);
  const wider = await adopt(kubeconfig, "--exclude-namespaces=", "--dry-run");
  assertEquals(wider.lines.filter((line) => line.startsWith("would be")), [
    "would be labelled cert-manager/certificates: it has 80/TCP",
    "would be labelled kube-system/dns: it has 80/TCP",
    "would be labelled lightpath-system/own: it has 80/TCP",
  ]);
}

async function releases(lab: AdmissionLab, kubeconfig: string): Promise<void> {
  const dry = await adopt(kubeconfig, "--release", "--dry-run");
  assertEquals(await labelsOf(lab), ADOPTED);
  assertMatch(dry.lines.at(-1) ?? "", new RegExp(`^${COUNT} would be released, `));
  const { code, lines } = await adopt(kubeconfig, "--release");
  assertEquals(code, 0);
  assertEquals(await labelsOf(lab), AS_CREATED);
  const label = "service.kubernetes.io/service-proxy-name";
  const line = `released default/plain: it has the label ${label}: lightpath.cloud`;
  assertEquals(lines.filter((one) => one === line), [line]);
  assertMatch(lines.at(-1) ?? "", new RegExp(`^${COUNT} released, `));
}

/** Somebody else is a moment faster, in different ways. */
async function meetsOthers(lab: AdmissionLab): Promise<void> {
  const client = await createObjectClient({ kubeconfig: await lab.plane.kubeconfig("admin") });
  const path = (name: string): string => `/api/v1/namespaces/default/services/${name}`;
  const others: Readonly<Record<string, () => Promise<unknown>>> = {
    plain: () => lab.plane.call("PATCH", path("plain"), { metadata: { annotations: { unrelated: "1" } } }),
    labels: () =>
      lab.plane.call("PATCH", path("labels"), {
        metadata: { annotations: { "lightpath.cloud/proxy": "disabled" } },
      }),
    udp: () => lab.plane.call("DELETE", path("udp")),
  };
  const met = new Set<string>();
  const meeting: ObjectClient = {
    server: client.server,
    clockAheadMs: 0,
    list: (...args) => client.list(...args),
    get: (...args) => client.get(...args),
    create: (...args) => client.create(...args),
    update: (...args) => client.update(...args),
    patch: async (name, ...args) => {
      // One is changed each time, without an end.
      if (name.name === "sctp") {
        await lab.plane.call("PATCH", path("sctp"), {
          metadata: { annotations: { again: crypto.randomUUID() } },
        });
      } else if (!met.has(name.name)) await others[name.name]?.();
      met.add(name.name);
      return await client.patch(name, ...args);
    },
  };
  const rules = { proxyName: "lightpath.cloud", excludedNamespaces: [] };
  const options = { client: meeting, rules, release: false, dryRun: false, namespace: "default" };
  const outcomes: Record<string, string> = {};
  for await (const { service, action, failure } of adoptServices(options, AbortSignal.timeout(60_000))) {
    outcomes[service] = failure ?? `${action.kind}: ${action.because}`;
  }
  assertEquals(outcomes["default/plain"], "label: has 80/TCP");
  assertEquals(
    outcomes["default/labels"],
    "leave: opts out by its annotation lightpath.cloud/proxy: disabled",
  );
  assertEquals(outcomes["default/udp"], "leave: was deleted meanwhile");
  assertEquals(outcomes["default/sctp"], "others go on changing it; try again");
  const proxyNames = ["plain", "labels", "sctp"].map((name) => lab.proxyNameOf({ name, proxyName: "" }));
  assertEquals(await Promise.all(proxyNames), ["lightpath.cloud", undefined, undefined]);
  assertEquals((await lab.create({ name: "udp", proxyName: undefined })).status, 201);
  assertEquals((await adopt(await lab.plane.kubeconfig("admin"), "--release")).code, 0);
}

async function listsInParts(lab: AdmissionLab): Promise<void> {
  const kubeconfig = await lab.plane.kubeconfig("admin");
  const parts = async (pageSize: number): Promise<readonly (readonly Fields[])[]> => {
    const client = await createObjectClient({ kubeconfig, pageSize });
    return await Array.fromAsync(client.list("Service", {}, AbortSignal.timeout(60_000)));
  };
  const [whole = []] = await parts(500);
  const few = await parts(4);
  assertEquals(few.map(({ length }) => length).slice(0, 3), [4, 4, 4]);
  assertEquals(few.flat(), whole);
  assertEquals(whole.every(({ kind, apiVersion }) => kind === "Service" && apiVersion === "v1"), true);
}

async function keepsToNamespace(lab: AdmissionLab): Promise<void> {
  await lab.plane.call("POST", "/api/v1/namespaces/lightpath-system/serviceaccounts", {
    metadata: { name: "team" },
  });
  const kubeconfig = await lab.kubeconfigOf("team");
  const refused = await adopt(kubeconfig, "--namespace=team");
  assertEquals(refused.code, 1);
  assertMatch(
    refused.error,
    /may not list services in namespace team: grant it by a Role in namespace team with the rule/,
  );
  await lab.plane.call("POST", `${RBAC}/namespaces/team/rolebindings`, {
    metadata: { name: "team" },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "lightpath-adopt" },
    subjects: [{ kind: "ServiceAccount", name: "team", namespace: "lightpath-system" }],
  });
  const { code, lines } = await adopt(kubeconfig, "--namespace=team");
  assertEquals([code, lines], [0, ["labelled team/kubernetes: it has 80/TCP", "1 labelled, 0 left"]]);
  const others = Object.entries(await labelsOf(lab)).filter(([name]) => name !== "team/kubernetes");
  for (const [name, label] of others) assertEquals(label, AS_CREATED[name], name);
  const nowhere = await adopt(await lab.plane.kubeconfig("admin"), "--namespace=nowhere");
  assertEquals([nowhere.code, nowhere.lines], [0, ["there is no Service in namespace nowhere"]]);
}
