import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { collectionPath, objectPath } from "./object_path.ts";

Deno.test("an object's path says its group, its namespace and its plural", () => {
  const metadata = { name: "echo", namespace: "default" };
  assertEquals(
    objectPath({ apiVersion: "v1", kind: "Service", metadata }),
    "/api/v1/namespaces/default/services/echo",
  );
  assertEquals(
    collectionPath({ apiVersion: "apps/v1", kind: "Deployment", metadata }),
    "/apis/apps/v1/namespaces/default/deployments",
  );
  assertEquals(
    objectPath({
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "ClusterRole",
      metadata: { name: "echo" },
    }),
    "/apis/rbac.authorization.k8s.io/v1/clusterroles/echo",
  );
  assertThrows(
    () => objectPath({ apiVersion: "v1", kind: "Secret2", metadata }),
    TypeError,
    "Secret2 is no kind",
  );
});
