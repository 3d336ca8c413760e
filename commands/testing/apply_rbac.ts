/**
 * Gives the control plane's user `agent` the rights that deploy/base/rbac.yaml gives an agent, and no more.
 * @module
 */
import { fail } from "@std/assert/fail";
import { parseAllDocuments } from "yaml";
import type { ControlPlane } from "../../scripts/lab/control_plane.ts";

/** Where each kind of deploy/base/rbac.yaml is created. */
const PATHS: Readonly<Record<string, string>> = {
  Namespace: "/api/v1/namespaces",
  ServiceAccount: "/api/v1/namespaces/lightpath-system/serviceaccounts",
  ClusterRole: "/apis/rbac.authorization.k8s.io/v1/clusterroles",
  ClusterRoleBinding: "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
};

/** Creates the objects; a second time they are in the way. */
export async function applyRbac(plane: ControlPlane): Promise<void> {
  for (const file of ["namespace.yaml", "rbac.yaml"]) {
    const text = await Deno.readTextFile(new URL(`../../deploy/base/${file}`, import.meta.url));
    for (const document of parseAllDocuments(text)) {
      const object = document.toJS() as { readonly kind: string };
      await plane.call("POST", PATHS[object.kind] ?? fail(`${file} has a ${object.kind}`), object);
    }
  }
}
