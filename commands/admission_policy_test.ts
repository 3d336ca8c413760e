/**
 * The MutatingAdmissionPolicy of deploy/ at a real API server: it decides as the webhook does.
 * @module
 */
import { assertEquals } from "@std/assert/equals";
import { SERVICE_CASES } from "../admission/testing/service_cases.ts";
import { AdmissionLab, admissionLabTools } from "./testing/admission_lab.ts";
import { until } from "./testing/until.ts";

const NAME = "the admission policy at a real kube-apiserver";

const tools = await admissionLabTools();
if ("unavailable" in tools) {
  Deno.test({ name: `${NAME} (skipped: ${tools.unavailable})`, ignore: true, fn: () => {} });
} else {
  Deno.test(NAME, async () => {
    await using lab = await AdmissionLab.start(tools);
    await lab.apply("policy/policy.yaml");
    let attempt = 0;
    await until("the policy", () => lab.create({ name: `first-${attempt++}`, proxyName: "" }), {
      wanted: ({ proxyName }) => proxyName === "lightpath.cloud",
    });
    for (const one of SERVICE_CASES) {
      const dry = await lab.create(one, "?dryRun=All");
      assertEquals([dry.status, dry.proxyName], [201, one.proxyName], `${one.name}: ${dry.body}`);
      const { status, proxyName, warnings } = await lab.create(one);
      assertEquals([status, proxyName, warnings], [201, one.proxyName, []], one.name);
    }
    // It acts at the creation only: who takes the label away has the Service back with kube-proxy.
    const [plain] = SERVICE_CASES;
    const path = `/api/v1/namespaces/default/services/${plain!.name}`;
    const label = { "service.kubernetes.io/service-proxy-name": null };
    await lab.plane.call("PATCH", path, { metadata: { labels: label } });
    assertEquals(await lab.proxyNameOf(plain!), undefined);
  });
}
