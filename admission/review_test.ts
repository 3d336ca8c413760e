import { assertEquals } from "@std/assert/equals";
import { fail } from "@std/assert/fail";
import { type AnsweredReview, answerReview, type ReviewFault } from "./review.ts";

const LABEL = "service.kubernetes.io/service-proxy-name";
const RULES = { proxyName: "lightpath.cloud", excludedNamespaces: ["kube-system"] };

/** A review as an API server sends it, of a Service that is created. */
function review(overrides: Record<string, unknown> = {}, object: unknown = service()): unknown {
  return {
    kind: "AdmissionReview",
    apiVersion: "admission.k8s.io/v1",
    request: {
      uid: "0df28fbd-5f5f-11e8-bc74-36e6bb280816",
      kind: { group: "", version: "v1", kind: "Service" },
      resource: { group: "", version: "v1", resource: "services" },
      requestKind: { group: "", version: "v1", kind: "Service" },
      requestResource: { group: "", version: "v1", resource: "services" },
      name: "echo",
      namespace: "default",
      operation: "CREATE",
      userInfo: { username: "admin", groups: ["system:masters"] },
      object,
      oldObject: null,
      dryRun: false,
      options: { kind: "CreateOptions", apiVersion: "meta.k8s.io/v1" },
      ...overrides,
    },
  };
}

function service(metadata: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    kind: "Service",
    apiVersion: "v1",
    metadata: { name: "echo", namespace: "default", ...metadata },
    spec: { ports: [{ protocol: "TCP", port: 80, targetPort: 8080 }], type: "ClusterIP" },
  };
}

function answer(body: unknown): AnsweredReview {
  const answered = answerReview(body, RULES);
  return "fault" in answered ? fail(answered.fault) : answered;
}

function patchOf({ review: { response } }: AnsweredReview): unknown {
  assertEquals(response.patchType, "JSONPatch");
  return JSON.parse(new TextDecoder().decode(Uint8Array.fromBase64(response.patch ?? fail("no patch"))));
}

Deno.test("answerReview(): a Service without labels gets the map, one with labels the label", () => {
  const map = [{ op: "add", path: "/metadata/labels", value: { [LABEL]: "lightpath.cloud" } }];
  assertEquals(patchOf(answer(review())), map);
  assertEquals(patchOf(answer(review({}, service({ labels: null })))), map);
  const one = [{
    op: "add",
    path: "/metadata/labels/service.kubernetes.io~1service-proxy-name",
    value: "lightpath.cloud",
  }];
  assertEquals(patchOf(answer(review({}, service({ labels: { app: "echo" } })))), one);
  assertEquals(patchOf(answer(review({}, service({ labels: {} })))), one);
});

Deno.test("answerReview(): the answer is an AdmissionReview of v1 and nothing else", () => {
  const labelled = answer(review());
  assertEquals(Object.keys(labelled.review), ["apiVersion", "kind", "response"]);
  const { patch, ...response } = labelled.review.response;
  assertEquals(typeof patch, "string");
  assertEquals({ ...labelled.review, response }, {
    apiVersion: "admission.k8s.io/v1",
    kind: "AdmissionReview",
    response: { uid: "0df28fbd-5f5f-11e8-bc74-36e6bb280816", allowed: true, patchType: "JSONPatch" },
  });
  assertEquals([labelled.result, labelled.about, labelled.because], [
    "labelled",
    "default/echo",
    "has 80/TCP",
  ]);
});

Deno.test("answerReview(): what is left alone is allowed without a patch and without a warning", () => {
  const silent = { uid: "0df28fbd-5f5f-11e8-bc74-36e6bb280816", allowed: true } as const;
  for (
    const [result, body] of [
      ["foreign", review({}, service({ labels: { [LABEL]: "cilium" } }))],
      ["ours", review({}, service({ labels: { [LABEL]: "lightpath.cloud" } }))],
      ["opted-out", review({}, service({ annotations: { "lightpath.cloud/proxy": "disabled" } }))],
      ["excluded", review({ namespace: "kube-system" }, service({ namespace: undefined }))],
      ["nothing-to-serve", review({}, { ...service(), spec: { clusterIP: "None" } })],
    ] as const
  ) {
    const answered = answer(body);
    assertEquals([answered.result, answered.review.response], [result, silent]);
  }
});

Deno.test("answerReview(): a dry run is answered like any other", () => {
  const [real, dry] = [answer(review()), answer(review({ dryRun: true }))];
  assertEquals(dry.review, real.review);
  assertEquals([real.dryRun, dry.dryRun], [false, true]);
});

Deno.test("answerReview(): anything but the creation of a v1 Service is let through with a warning", () => {
  const pods = { group: "", version: "v1", resource: "pods" };
  for (
    const [what, overrides] of [
      ["UPDATE of v1 services", { operation: "UPDATE" }],
      ["DELETE of v1 services", { operation: "DELETE", object: null }],
      ["CREATE of v1 pods", { resource: pods }],
      ["CREATE of v2 services", { resource: { group: "", version: "v2", resource: "services" } }],
      ["CREATE of serving.knative.dev/v1 services", {
        resource: { group: "serving.knative.dev", version: "v1", resource: "services" },
      }],
      ["UPDATE of v1 services/status", { subResource: "status", operation: "UPDATE" }],
      ["something of something", { resource: 7, operation: undefined }],
    ] as const
  ) {
    const { result, review: { response } } = answer(review(overrides));
    assertEquals(result, "not-ours", what);
    assertEquals(response, {
      uid: "0df28fbd-5f5f-11e8-bc74-36e6bb280816",
      allowed: true,
      warnings: [
        `Lightpath's webhook labels v1 Services when they are created, not ${what}; let through untouched`,
      ],
    });
  }
});

Deno.test("answerReview(): a Service that cannot be read is let through, and a warning is never too long", () => {
  const { review: { response } } = answer(review({}, "nonsense"));
  assertEquals(response.warnings, [
    "Lightpath's webhook cannot read the Service: not an object with apiVersion, kind and metadata; let through untouched",
  ]);
  const resource = { group: "g\n".repeat(300), version: "v1", resource: "r".repeat(300) };
  const [warning = ""] = answer(review({ resource })).review.response.warnings ?? [];
  assertEquals([...warning].length <= 256, true);
  assertEquals(/\p{Cc}/u.test(warning), false);
  const name = { ...service(), metadata: { name: "a/b".repeat(200) } };
  assertEquals([...(answer(review({}, name)).review.response.warnings?.[0] ?? "")].length, 256);
});

Deno.test("answerReview(): what is no review of v1 is refused in words", () => {
  const faultOf = (body: unknown): string => (answerReview(body, RULES) as ReviewFault).fault;
  assertEquals(faultOf([]), "the body is no AdmissionReview");
  assertEquals(faultOf({ kind: "Service" }), "the body is no AdmissionReview");
  assertEquals(
    faultOf({ kind: "AdmissionReview", apiVersion: "admission.k8s.io/v1beta1" }),
    "this webhook speaks AdmissionReview of admission.k8s.io/v1; the body's apiVersion is admission.k8s.io/v1beta1",
  );
  assertEquals(
    faultOf({ kind: "AdmissionReview" }),
    "this webhook speaks AdmissionReview of admission.k8s.io/v1; the body's apiVersion is none",
  );
  const lacking = "the AdmissionReview has no request with a uid";
  assertEquals(faultOf({ kind: "AdmissionReview", apiVersion: "admission.k8s.io/v1" }), lacking);
  assertEquals(faultOf(review({ uid: "" })), lacking);
});
