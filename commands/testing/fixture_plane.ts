/**
 * A real API server for the agent of a `NodeFixture`, in which its machine is the Node node-1.
 * @module
 */
import { type ControlPlane, startControlPlane } from "../../scripts/lab/control_plane.ts";
import { temporaryFolder } from "../../scripts/lab/temporary_folder.ts";
import { withTools } from "../../scripts/tool_path.ts";
import type { NodeFixture } from "./node_fixture.ts";

const { paths, unavailable } = await withTools(["etcd", "kube-apiserver"]);

/** Why it cannot be started here, if it cannot. */
export const planeUnavailable: string | undefined = unavailable[0];

/** Starts it. Both it and its folder, in which the test may write too, go with `made`. */
export async function startFixturePlane(
  fixture: NodeFixture,
  made: AsyncDisposableStack,
): Promise<{ readonly plane: ControlPlane; readonly dir: string }> {
  const dir = await temporaryFolder(made, "lp-");
  const plane = made.use(
    await startControlPlane({
      etcd: paths.get("etcd")!,
      kubeApiserver: paths.get("kube-apiserver")!,
      dir,
      signal: AbortSignal.timeout(120_000),
    }),
  );
  await plane.call("POST", "/api/v1/nodes", {
    metadata: { name: "node-1" },
    status: { addresses: [{ type: "InternalIP", address: fixture.lab.nodeAddresses.ipv4 }] },
  });
  return { plane, dir };
}
