import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { KubeConfigError } from "./kube_api_error.ts";
import { KubeconfigAccess } from "./kubeconfig.ts";

async function withFile(
  content: unknown,
  test: (path: string, dir: string) => Promise<void> | void,
): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    const path = `${dir}/kubeconfig`;
    await Deno.writeTextFile(path, typeof content === "string" ? content : JSON.stringify(content));
    await test(path, dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

function config(parts: { cluster?: unknown; user?: unknown } = {}): unknown {
  const { cluster = { server: "https://127.0.0.1:6443" }, user = {} } = parts;
  return {
    clusters: [{ name: "c", cluster }, {
      name: "other",
      cluster: { server: "https://127.0.0.1:7443/k8s/abc" },
    }],
    users: [{ name: "u", user }],
    contexts: [
      { name: "one", context: { cluster: "c", user: "u" } },
      { name: "two", context: { cluster: "other", user: "u" } },
    ],
    "current-context": "one",
  };
}

Deno.test("kubeconfig: the current context counts, or the one that is named", () =>
  withFile(config(), (kubeconfig) => {
    const access = new KubeconfigAccess({ kubeconfig });
    assertEquals([access.server, access.identity], [
      "https://127.0.0.1:6443",
      `user "u" of kubeconfig ${kubeconfig}`,
    ]);
    assertEquals(
      new KubeconfigAccess({ kubeconfig, context: "two" }).server,
      "https://127.0.0.1:7443/k8s/abc",
    );
  }));

Deno.test("kubeconfig: what is of no use is one clear sentence", async () => {
  assertThrows(
    () => new KubeconfigAccess({ kubeconfig: "/nowhere/config" }),
    KubeConfigError,
    "cannot use kubeconfig /nowhere/config: ",
  );
  await withFile(config(), (kubeconfig) => {
    assertThrows(
      () => new KubeconfigAccess({ kubeconfig, context: "three" }),
      KubeConfigError,
      `cannot use kubeconfig ${kubeconfig}: it has no context "three", only one, two`,
    );
  });
  const cases: [unknown, string][] = [
    ["{ not yaml", "cannot use kubeconfig "],
    ["", "cannot use kubeconfig "],
    [{ ...config() as object, "current-context": "gone" }, 'has no cluster for context "gone"'],
    [config({ cluster: { server: "nonsense" } }), 'names the API server "nonsense", which is not a URL'],
    [config({ cluster: { server: "http://10.0.0.1:8080" } }), "credentials would travel in clear text"],
  ];
  for (const [content, sentence] of cases) {
    await withFile(content, (kubeconfig) => {
      assertThrows(() => new KubeconfigAccess({ kubeconfig }), KubeConfigError, sentence);
    });
  }
});

Deno.test("kubeconfig: a tokenFile is read for each request, relative to the kubeconfig", () =>
  withFile(config({ user: { tokenFile: "token", token: "ignored" } }), async (kubeconfig, dir) => {
    const access = new KubeconfigAccess({ kubeconfig });
    for (const token of ["first", "second"]) {
      await Deno.writeTextFile(`${dir}/token`, `${token}\n`);
      assertEquals((await access.requestOptions()).headers, { Authorization: `Bearer ${token}` });
    }
  }));

Deno.test("kubeconfig: a renewed client certificate is used by the next request", () =>
  withFile(
    config({ user: { "client-certificate": "cert", "client-key": "cert" } }),
    async (kubeconfig, dir) => {
      const access = new KubeconfigAccess({ kubeconfig });
      for (const pem of ["first", "second"]) {
        await Deno.writeTextFile(`${dir}/cert`, pem);
        const { cert, agent } = await access.requestOptions();
        // An agent would bring the certificate it was made with.
        assertEquals([String(cert), agent], [pem, false]);
      }
    },
  ));

Deno.test("kubeconfig: a renewed token in the file itself is seen after reload()", () =>
  withFile(config({ user: { token: "first" } }), async (kubeconfig) => {
    const access = new KubeconfigAccess({ kubeconfig });
    await Deno.writeTextFile(kubeconfig, JSON.stringify(config({ user: { token: "second" } })));
    assertEquals((await access.requestOptions()).headers, { Authorization: "Bearer first" });
    access.reload();
    assertEquals((await access.requestOptions()).headers, { Authorization: "Bearer second" });
    // In the middle of being replaced.
    await Deno.writeTextFile(kubeconfig, "");
    access.reload();
    assertEquals((await access.requestOptions()).headers, { Authorization: "Bearer second" });
  }));

Deno.test("kubeconfig: a credential plugin is run", () =>
  withFile("", async (kubeconfig, dir) => {
    const credential = {
      apiVersion: "client.authentication.k8s.io/v1",
      kind: "ExecCredential",
      status: { token: "t1" },
    };
    await Deno.writeTextFile(`${dir}/plugin`, `#!/bin/sh\necho '${JSON.stringify(credential)}'\n`, {
      mode: 0o755,
    });
    const exec = {
      apiVersion: credential.apiVersion,
      command: `${dir}/plugin`,
      args: [],
      interactiveMode: "Never",
    };
    await Deno.writeTextFile(kubeconfig, JSON.stringify(config({ user: { exec } })));
    const access = new KubeconfigAccess({ kubeconfig });
    assertEquals((await access.requestOptions()).headers, { Authorization: "Bearer t1" });
  }));
