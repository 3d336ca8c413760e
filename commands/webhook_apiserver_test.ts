/**
 * The webhook at a real API server: with the manifests of deploy/admission as they are, a service account's own token and
 * certificates of its own.
 * @module
 */
import { assertEquals } from "@std/assert/equals";
import { join } from "@std/path/join";
import { issueCertificate, type IssuedCertificate } from "../admission/certificates/issue.ts";
import { SERVICE_CASES, type ServiceCase } from "../admission/testing/service_cases.ts";
import { AdmissionLab, admissionLabTools } from "./testing/admission_lab.ts";
import type { LoopbackProgram } from "./testing/loopback_program.ts";
import { until } from "./testing/until.ts";

const NAME = "the webhook at a real kube-apiserver";
const CONFIGURATION = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/lightpath";
const SECRET = "/api/v1/namespaces/lightpath-system/secrets/lightpath-webhook";

const tools = await admissionLabTools();
if ("unavailable" in tools) {
  Deno.test({ name: `${NAME} (skipped: ${tools.unavailable})`, ignore: true, fn: () => {} });
} else {
  Deno.test(NAME, async (t) => {
    await using lab = await AdmissionLab.start(tools);
    await t.step(
      "names what is missing, one thing after the other, and goes on when it is there",
      () => starts(lab),
    );
    await t.step("labels new Services, and is not even asked of others", () => labels(lab));
    await t.step("decides alike where the API server asks of everything", () => labelsUnselected(lab));
    await t.step(
      "two replicas replace their certificates, and no Service misses its label",
      () => rotates(lab),
    );
    await t.step("puts right what somebody has damaged", () => heals(lab));
    await t.step("a webhook that is asked to end answers what still comes", () => drains(lab));
    await t.step(
      "no Service waits for a webhook that is dead, silent, not trusted or expired",
      () => isDispensable(lab),
    );
  });
}

/** A webhook that serves, and has the API server trust it. */
async function ready(webhook: LoopbackProgram): Promise<LoopbackProgram> {
  try {
    await until("readiness", () => webhook.ready(), { wanted: (reason) => reason === "", timeoutMs: 60_000 });
  } catch (error) {
    throw new Error(webhook.log(), { cause: error });
  }
  return webhook;
}

/** API servers read a changed configuration a moment later, so the first Services may come too early. */
async function untilLabelled(lab: AdmissionLab, prefix: string): Promise<void> {
  let attempt = 0;
  await until(
    "a Service with its label",
    () => lab.create({ name: `${prefix}-${attempt++}`, proxyName: "" }),
    {
      wanted: ({ proxyName }) => proxyName === "lightpath.cloud",
    },
  );
}

/** What a test reads of the MutatingWebhookConfiguration. */
interface Configuration {
  readonly metadata: { readonly managedFields: readonly { readonly manager: string }[] };
  readonly webhooks: readonly [
    Readonly<Record<string, unknown>> & { readonly clientConfig: Readonly<Record<string, unknown>> },
  ];
}

/** Changes the one webhook in it, as somebody beside Lightpath would; tries again where that has just written it. @returns what it was */
async function edit(
  lab: AdmissionLab,
  change: (webhook: Configuration["webhooks"][0]) => Readonly<Record<string, unknown>>,
): Promise<Configuration> {
  for (;;) {
    const configuration = await lab.plane.call("GET", CONFIGURATION) as Configuration;
    try {
      const webhooks = [change(configuration.webhooks[0])];
      await lab.plane.call("PUT", CONFIGURATION, { ...configuration, webhooks });
      return configuration;
    } catch (error) {
      if (!(error instanceof Error && error.message.includes(": 409 "))) throw error;
    }
  }
}

/** How long API servers wait for an answer. */
async function setTimeoutSeconds(lab: AdmissionLab, timeoutSeconds: number): Promise<void> {
  await edit(lab, (webhook) => ({ ...webhook, timeoutSeconds }));
}

async function starts(lab: AdmissionLab): Promise<void> {
  await lab.plane.call("POST", "/api/v1/namespaces/lightpath-system/serviceaccounts", {
    metadata: { name: "lightpath-webhook" },
  });
  await using webhook = await lab.startWebhook();
  const reasonOf = async (program: LoopbackProgram, pattern: RegExp): Promise<void> => {
    const wanted = (text: string): boolean => pattern.test(text);
    await until(String(pattern), () => program.ready(), { wanted, timeoutMs: 60_000 });
  };
  await reasonOf(
    webhook,
    /^certificate: Lightpath \(.*\) may not get mutatingwebhookconfigurations.* "lightpath" at cluster scope: grant it by a ClusterRole with .*resourceNames: \["lightpath"\], verbs: \["get", "patch"\]/,
  );
  await lab.plane.call("DELETE", "/api/v1/namespaces/lightpath-system/serviceaccounts/lightpath-webhook");
  assertEquals(await webhook.end(), 0);
  lab.disconnect();

  await lab.apply("webhook/rbac.yaml");
  await using next = await lab.startWebhook();
  await reasonOf(
    next,
    /^certificate: there is no MutatingWebhookConfiguration lightpath: apply deploy\/admission\/webhook/,
  );
  await lab.apply("webhook/webhook.yaml");
  await reasonOf(
    next,
    /^certificate: Lightpath \(.*\) may not create secrets "lightpath-webhook" in namespace lightpath-system: grant it by a Role/,
  );
  for (const file of ["secret", "service", "deployment"]) await lab.apply(`webhook/${file}.yaml`);
  await ready(next);
  assertEquals(await next.end(), 0);
  // What is asserted from here on holds however slow this machine is.
  await setTimeoutSeconds(lab, 20);
  lab.disconnect();
}

async function labels(lab: AdmissionLab): Promise<void> {
  await using webhook = await ready(await lab.startWebhook());
  await untilLabelled(lab, "first");
  const before = await webhook.metric("lightpath_admission_requests_total");
  let labelled = 0;
  for (const one of SERVICE_CASES) {
    const dry = await lab.create(one, "?dryRun=All");
    assertEquals([dry.status, dry.proxyName], [201, one.proxyName], `${one.name}: ${dry.body}`);
    const { status, proxyName, warnings } = await lab.create(one);
    assertEquals([status, proxyName, warnings], [201, one.proxyName, []], one.name);
    assertEquals(await lab.proxyNameOf(one), one.proxyName);
    if (one.proxyName === "lightpath.cloud") labelled += 2;
  }
  const generated = await lab.post("/api/v1/namespaces/default/services", {
    metadata: { generateName: "generated-" },
    spec: { ports: [{ port: 80 }] },
  });
  assertEquals([generated.status, generated.proxyName], [201, "lightpath.cloud"]);
  const answered = await webhook.metric("lightpath_admission_requests_total") - before;
  assertEquals(answered, labelled + 1);
  assertEquals(
    await webhook.metric("lightpath_admission_requests_total", { result: "labelled" }),
    before + answered,
  );
  lab.disconnect();
}

/** Without the selectors, and for other objects and operations too. */
async function labelsUnselected(lab: AdmissionLab): Promise<void> {
  await using webhook = await ready(await lab.startWebhook());
  const rules = [{
    operations: ["CREATE", "UPDATE", "DELETE"],
    apiGroups: [""],
    apiVersions: ["v1"],
    resources: ["services", "configmaps"],
    scope: "Namespaced",
  }];
  const selecting = ["namespaceSelector", "objectSelector", "matchConditions"];
  const before = await edit(lab, (webhook) => {
    const rest = Object.entries(webhook).filter(([field]) => !selecting.includes(field));
    return { ...Object.fromEntries(rest), rules };
  });
  let attempt = 0;
  const other = await until(
    "a warning",
    () => lab.post("/api/v1/namespaces/default/configmaps", { metadata: { name: `map-${attempt++}` } }),
    {
      wanted: ({ warnings }) => warnings.length > 0,
    },
  );
  assertEquals([other.status, other.warnings], [201, [
    "Lightpath's webhook labels v1 Services when they are created, not CREATE of v1 configmaps; let through untouched",
  ]]);
  for (const one of SERVICE_CASES) {
    const name = `again-${one.name}`;
    const { status, proxyName, warnings } = await lab.create({ ...one, name });
    assertEquals([status, proxyName, warnings], [201, one.proxyName, []], one.name);
  }
  const counts = async (result: string): Promise<number> =>
    await webhook.metric("lightpath_admission_requests_total", { result });
  for (const result of ["foreign", "opted-out", "excluded", "nothing-to-serve", "not-ours"]) {
    assertEquals(await counts(result) > 0, true, result);
  }
  assertEquals(await counts("refused"), 0);
  await edit(lab, ({ clientConfig }) => ({ ...before.webhooks[0], clientConfig }));
  lab.disconnect();
}

async function rotates(lab: AdmissionLab): Promise<void> {
  // What is stored holds for two weeks yet.
  await lab.plane.call("PUT", SECRET, { metadata: { name: "lightpath-webhook" }, type: "Opaque" });
  const flags = ["--certificate-lifetime=12s"];
  const replicas = await Promise.all([lab.startWebhook(flags), lab.startWebhook(flags)]);
  await using one = await ready(replicas[0]);
  await using other = await ready(replicas[1]);
  await untilLabelled(lab, "rotation-begins");
  const created = async (): Promise<number> => {
    const counts = replicas.map((replica) =>
      replica.metric("lightpath_admission_certificates_created_total")
    );
    return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
  };
  const servedOf = (replica: LoopbackProgram): number =>
    replica.log().match(/serving with the certificate/g)?.length ?? 0;
  const missed: ServiceCase[] = [];
  for (let number = 0; await created() < 3 || servedOf(one) < 3 || servedOf(other) < 3; number++) {
    const service = { name: `rotation-${number}`, proxyName: "lightpath.cloud" };
    const { proxyName } = await lab.create(service, "?dryRun=All");
    if (proxyName !== service.proxyName) missed.push(service);
    if (number > 3_000) throw new Error(`no third certificate\n${one.log()}\n${other.log()}`);
  }
  assertEquals(missed, [], `${one.log()}\n${other.log()}`);
  // Of two for whom it was due at the same moment one was too late, and took what was there: none was made twice.
  const madeAt = [one, other].flatMap((replica) =>
    [...replica.log().matchAll(/a new certificate is stored .*certificate=\d{8}T(\d\d)(\d\d)(\d\d)Z/g)]
      .map(([, hours, minutes, seconds]) => Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds))
  ).sort((earlier, later) => earlier - later);
  const apart = madeAt.slice(1).map((second, index) => (second - madeAt[index]! + 86_400) % 86_400);
  // At midnight the last one is sorted first.
  assertEquals(apart.every((seconds) => seconds >= 7), true, `made at ${madeAt}`);
  lab.disconnect();
}

async function heals(lab: AdmissionLab): Promise<void> {
  await using webhook = await ready(await lab.startWebhook(["--certificate-lifetime=2m"]));
  await untilLabelled(lab, "before-damage");
  const secret = await lab.plane.call("GET", SECRET) as { readonly data: Readonly<Record<string, string>> };
  const [key = ""] = Object.keys(secret.data).filter((name) => name.endsWith(".tls.key")).sort().reverse();
  await lab.plane.call("PATCH", SECRET, { data: { [key]: btoa("no key"), theirs: btoa("kept") } });
  await until("the repair", () => webhook.log(), {
    wanted: (log) =>
      /stored certificates cannot be used, and are replaced .*has a key that cannot be read/.test(log),
  });
  await ready(webhook);
  await untilLabelled(lab, "after-damage");
  const repaired = await lab.plane.call("GET", SECRET) as { readonly data: Readonly<Record<string, string>> };
  assertEquals(repaired.data["theirs"], btoa("kept"));

  // Somebody applies the configuration anew, and the authority is gone.
  const { metadata } = await edit(lab, ({ clientConfig: { caBundle: _gone, ...clientConfig }, ...rest }) => ({
    ...rest,
    clientConfig,
  }));
  assertEquals(metadata.managedFields.map(({ manager }) => manager).includes("lightpath-webhook"), true);
  await untilLabelled(lab, "after-loss");
  lab.disconnect();
}

async function drains(lab: AdmissionLab): Promise<void> {
  await using webhook = await ready(await lab.startWebhook(["--drain-time=5m"]));
  await untilLabelled(lab, "before-end");
  const ending = webhook.end();
  await until("the end to begin", () => webhook.ready(), {
    wanted: (reason) => reason === "serving: it was told to end",
  });
  for (let number = 0; number < 20; number++) {
    const { proxyName } = await lab.create({ name: `drain-${number}`, proxyName: "" }, "?dryRun=All");
    assertEquals(proxyName, "lightpath.cloud");
  }
  await webhook.kill();
  await ending;
  lab.disconnect();
}

async function isDispensable(lab: AdmissionLab): Promise<void> {
  const withoutLabel = async (name: string): Promise<void> => {
    const { status, proxyName, warnings } = await lab.create({ name, proxyName: undefined });
    assertEquals([status, proxyName, warnings], [201, undefined, []], name);
  };
  await withoutLabel("nobody-listens");
  await setTimeoutSeconds(lab, 2);
  lab.disconnect("silent");
  await withoutLabel("nobody-answers");
  lab.disconnect();
  // One whose authority the API server does not know, and one whose certificate has expired.
  const names = ["lightpath-webhook.lightpath-system.svc"];
  const issue = (nowMs: number): Promise<IssuedCertificate> =>
    issueCertificate({ names, lifetimeMs: 3600_000, nowMs, commonName: "test" });
  await withoutLabelBy(await issue(Date.now()), "nobody-is-trusted");
  const expired = await issue(Date.now() - 2 * 3600_000);
  await trust(lab, expired.ca);
  await withoutLabelBy(expired, "nobody-is-valid");
  const valid = await issue(Date.now());
  await trust(lab, valid.ca);
  await using webhook = await fromFiles(lab, valid);
  await ready(webhook);
  await untilLabelled(lab, "somebody-is-trusted");

  async function withoutLabelBy(certificate: IssuedCertificate, name: string): Promise<void> {
    await using refused = await fromFiles(lab, certificate);
    await until("the port", () => refused.log(), {
      wanted: (log) => log.includes("answering the API server"),
    });
    await withoutLabel(name);
    await until("the API server's refusal", () => refused.log(), { wanted: (log) => log.includes("no TLS") });
    lab.disconnect();
  }
}

/** A webhook with a certificate that somebody else keeps. */
async function fromFiles(
  lab: AdmissionLab,
  { certificate, key }: IssuedCertificate,
): Promise<LoopbackProgram> {
  const dir = await Deno.makeTempDir({ dir: lab.dir });
  await Deno.writeTextFile(join(dir, "tls.crt"), certificate);
  await Deno.writeTextFile(join(dir, "tls.key"), key);
  return await lab.startWebhook([`--certificate-dir=${dir}`]);
}

/** Writes an authority into the configuration, as cert-manager's injector would. */
async function trust(lab: AdmissionLab, ca: string): Promise<void> {
  await edit(
    lab,
    (webhook) => ({ ...webhook, clientConfig: { ...webhook.clientConfig, caBundle: btoa(ca) } }),
  );
}
