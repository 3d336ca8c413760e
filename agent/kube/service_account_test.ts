import { assertEquals } from "@std/assert/equals";
import { assertRejects } from "@std/assert/rejects";
import { assertThrows } from "@std/assert/throws";
import { KubeConfigError } from "./kube_api_error.ts";
import { inPod, ServiceAccountAccess } from "./service_account.ts";

const ENV = { KUBERNETES_SERVICE_HOST: "10.96.0.1", KUBERNETES_SERVICE_PORT: "443" };

Deno.test("service account: files are read for each request", async () => {
  const folder = await Deno.makeTempDir();
  try {
    assertEquals(inPod(folder), false);
    const access = new ServiceAccountAccess({ env: ENV, folder });
    await assertRejects(() => access.requestOptions(), Deno.errors.NotFound);
    await Deno.writeTextFile(`${folder}/ca.crt`, "certificate");
    for (const token of ["first", "second"]) {
      await Deno.writeTextFile(`${folder}/token`, `${token}\n`);
      const { ca, headers } = await access.requestOptions();
      assertEquals([ca, headers], ["certificate", { Authorization: `Bearer ${token}` }]);
    }
    assertEquals(inPod(folder), true);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("service account: the environment names the API server, of either family", () => {
  const server = (host: string): string =>
    new ServiceAccountAccess({ env: { ...ENV, KUBERNETES_SERVICE_HOST: host } }).server;
  assertEquals(server("10.96.0.1"), "https://10.96.0.1:443");
  assertEquals(server("fd00::1"), "https://[fd00::1]:443");
  assertEquals(server("api.example"), "https://api.example:443");
  for (
    const [host, sentence] of [["", "set KUBERNETES_SERVICE_HOST"], ["a b", "do not name an API server"]]
  ) {
    assertThrows(() => server(host ?? ""), KubeConfigError, sentence ?? "");
  }
});
