/**
 * New Services get their label from the webhook of deploy/admission, or from the policy there.
 * @module
 */
import { until } from "../../../commands/testing/until.ts";
import { type KubeObject, objectPath } from "../../lab/object_path.ts";
import { buildOverlay } from "../installation.ts";
import { ECHO_PORTS, service } from "../manifests.ts";
import type { Scenario, ScenarioContext } from "../scenario.ts";
import { BESIDE, expect, PROXY_NAME_LABEL } from "./_words.ts";

export const webhook: Scenario = {
  name: "webhook",
  title: "the webhook labels new Services, leaves alone what it must, and holds nobody up when it is gone",
  installation: BESIDE,
  run: async (context) => {
    const { cluster: { api }, stage } = context;
    await using made = new AsyncDisposableStack();
    const objects = await applied(context, "admission/webhook", made);
    await until("the webhook", () => api.get<Deployment>(objectPath(one(objects, "Deployment"))), {
      wanted: ({ spec, status }) => status.availableReplicas === spec.replicas,
      timeoutMs: 60_000,
    });
    await labels(context);
    // Nobody answers any more, and the Service is created all the same.
    await api.remove(objectPath(one(objects, "Deployment")));
    await until("the end of the webhook's pods", () => podsOfWebhook(context), {
      wanted: (count) => count === 0,
    });
    await using late = await stage.service(service("without-webhook", { app: "echo", ports: ECHO_PORTS }));
    expect(`the label of ${late.vip}`, await labelOf(context, "without-webhook"), undefined);
    return "labelled; opted out and excluded are not; without it Services are created";
  },
};

export const policy: Scenario = {
  name: "policy",
  title: "the admission policy does the same without a server",
  installation: BESIDE,
  run: async (context) => {
    await using made = new AsyncDisposableStack();
    await applied(context, "admission/policy", made);
    await labels(context);
    return "labelled; opted out and excluded are not";
  },
};

interface Deployment {
  readonly spec: { readonly replicas: number };
  readonly status: { readonly availableReplicas?: number };
}

/** Applies a kustomization of deploy/; what it has is deleted with `made`. */
async function applied(
  { cluster }: ScenarioContext,
  path: string,
  made: AsyncDisposableStack,
): Promise<readonly KubeObject[]> {
  const objects = await buildOverlay(path, { image: cluster.images.current });
  for (const object of objects) {
    await cluster.api.apply(object);
    made.defer(() => cluster.api.remove(objectPath(object)));
  }
  return objects;
}

/** A Service that is to be labelled is, and served by Lightpath; others are not. */
async function labels(context: ScenarioContext): Promise<void> {
  const { stage } = context;
  const [pod] = stage.pods;
  let attempt = 0;
  // API servers read a changed configuration a moment later.
  await until("a Service with its label", async () => {
    const name = `first-${attempt++}`;
    await using _first = await stage.service(service(name, { app: "echo", ports: ECHO_PORTS }));
    return await labelOf(context, name);
  }, { wanted: (label) => label === "lightpath.cloud", timeoutMs: 30_000 });
  await using ours = await stage.service(service("ours", { app: "echo", ports: ECHO_PORTS }));
  expect("the label", await labelOf(context, "ours"), "lightpath.cloud");
  await stage.untilThroughEnvoy(pod, ours.vip);

  const annotations = { "lightpath.cloud/proxy": "disabled" };
  await using theirs = await stage.service(
    service("theirs", { app: "echo", ports: ECHO_PORTS, annotations }),
  );
  expect("the label of what is opted out", await labelOf(context, "theirs"), undefined);
  await stage.untilThroughEnvoy(pod, theirs.vip, false);

  const namespace = "kube-system";
  await using _system = await stage.service(service("system", { app: "echo", ports: ECHO_PORTS, namespace }));
  expect("the label in kube-system", await labelOf(context, "system", namespace), undefined);
}

async function labelOf(
  { cluster: { api } }: ScenarioContext,
  name: string,
  namespace = "default",
): Promise<string | undefined> {
  const { metadata } = await api.get<KubeObject>(`/api/v1/namespaces/${namespace}/services/${name}`);
  return metadata.labels?.[PROXY_NAME_LABEL];
}

async function podsOfWebhook({ cluster: { api } }: ScenarioContext): Promise<number> {
  const selector = "labelSelector=app.kubernetes.io%2Fname%3Dlightpath-webhook";
  return (await api.list(`/api/v1/namespaces/lightpath-system/pods?${selector}`)).length;
}

function one(objects: readonly KubeObject[], kind: string): KubeObject {
  const found = objects.find((object) => object.kind === kind);
  if (found === undefined) throw new Error(`there is no ${kind}`);
  return found;
}
