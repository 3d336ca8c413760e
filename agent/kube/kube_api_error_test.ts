import { assertEquals } from "@std/assert/equals";
import { errorFromStatus, type KubeRequestContext } from "./kube_api_error.ts";

/** The sentence about a refused request. */
function refusal(request: Omit<KubeRequestContext, "server" | "identity">, status = 403): string {
  const context = { ...request, server: "https://10.96.0.1:443", identity: 'user "dev"' };
  return errorFromStatus(context, { status, reason: "Forbidden", message: "", retryAfterMs: 0 }).message;
}

Deno.test("a right that is missing is named as the rule to write, with all that will be needed", () => {
  assertEquals(
    refusal({ verb: "list", kind: "EndpointSlice", needed: ["list", "watch"] }),
    'Lightpath (user "dev") may not list endpointslices.discovery.k8s.io at cluster scope: grant it by a ClusterRole with ' +
      'the rule {apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: ["list", "watch"]}',
  );
  assertEquals(
    refusal({ verb: "patch", kind: "Service", namespace: "team", needed: ["get", "list", "patch"] }),
    'Lightpath (user "dev") may not patch services in namespace team: grant it by a Role in namespace team with the rule ' +
      '{apiGroups: [""], resources: ["services"], verbs: ["get", "list", "patch"]}',
  );
});

Deno.test("a right to one object is named with its name, unless it is to create it", () => {
  const secret = { kind: "Secret", namespace: "lightpath-system", name: "lightpath-webhook" } as const;
  assertEquals(
    refusal({ verb: "get", ...secret, needed: ["get", "update"] }),
    'Lightpath (user "dev") may not get secrets "lightpath-webhook" in namespace lightpath-system: grant it by a Role in ' +
      'namespace lightpath-system with the rule {apiGroups: [""], resources: ["secrets"], resourceNames: ' +
      '["lightpath-webhook"], verbs: ["get", "update"]}',
  );
  assertEquals(
    refusal({ verb: "create", ...secret }),
    'Lightpath (user "dev") may not create secrets "lightpath-webhook" in namespace lightpath-system: grant it by a Role in ' +
      'namespace lightpath-system with the rule {apiGroups: [""], resources: ["secrets"], verbs: ["create"]}',
  );
});

Deno.test("credentials that are not accepted, and other refusals", () => {
  assertEquals(
    refusal({ verb: "get", kind: "MutatingWebhookConfiguration", name: "lightpath" }, 401),
    'the API server https://10.96.0.1:443 does not accept the credentials (user "dev") to get ' +
      "mutatingwebhookconfigurations.admissionregistration.k8s.io: renew the token or client certificate",
  );
  assertEquals(
    refusal({ verb: "create", kind: "Event" }, 500),
    "the API server https://10.96.0.1:443 answered 500 Forbidden to create events.events.k8s.io",
  );
});
