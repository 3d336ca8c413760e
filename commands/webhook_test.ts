/**
 * The program `lightpath webhook` with certificates from files: no API server is needed for that.
 * @module
 */
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertStringIncludes } from "@std/assert/string-includes";
import { join } from "@std/path/join";
import { issueCertificate, type IssuedCertificate } from "../admission/certificates/issue.ts";
import { freePorts } from "../scripts/lab/control_plane.ts";
import { LIGHTPATH } from "./testing/lightpath_process.ts";
import { startLoopbackProgram } from "./testing/loopback_program.ts";
import { until } from "./testing/until.ts";

const NAMES = ["127.0.0.1"];

function issue(nowMs = Date.now()): Promise<IssuedCertificate> {
  return issueCertificate({ names: NAMES, lifetimeMs: 3600_000, nowMs, commonName: "test" });
}

async function put(dir: string, { certificate, key }: IssuedCertificate): Promise<void> {
  await Deno.writeTextFile(join(dir, "tls.key"), key);
  await Deno.writeTextFile(join(dir, "tls.crt"), certificate);
}

async function withDir(test: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "lp-" });
  try {
    await test(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** The status of an answer; undefined where the certificate is not trusted. */
async function ask(port: number, { ca }: IssuedCertificate, review: unknown): Promise<unknown> {
  using client = Deno.createHttpClient({ caCerts: [ca], http2: false });
  try {
    const response = await fetch(`https://127.0.0.1:${port}/mutate`, {
      client,
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(review),
    });
    return await response.json();
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

function creation(name: string): unknown {
  return {
    kind: "AdmissionReview",
    apiVersion: "admission.k8s.io/v1",
    request: {
      uid: name,
      operation: "CREATE",
      resource: { group: "", version: "v1", resource: "services" },
      namespace: "default",
      object: { metadata: { name }, spec: { ports: [{ port: 80 }] } },
    },
  };
}

Deno.test("certificates from files are replaced without a restart, and an expired one is said", () =>
  withDir(async (dir) => {
    const [first, second, expired] = [await issue(), await issue(), await issue(0)];
    await put(dir, first);
    const [port = 0] = freePorts(1);
    const flags = [`--certificate-dir=${dir}`, `--webhook-bind-address=127.0.0.1:${port}`, "--drain-time=0s"];
    await using webhook = startLoopbackProgram(["webhook", "--service-proxy-name=other.example", ...flags]);
    await until("readiness", () => webhook.ready(), { wanted: (reason) => reason === "" });
    const answer = await ask(port, first, creation("echo")) as {
      readonly response: { readonly patch: string };
    };
    assertStringIncludes(atob(answer.response.patch), '"other.example"');
    assertEquals(await webhook.metric("lightpath_admission_requests_total", { result: "labelled" }), 1);

    await put(dir, second);
    await until("the new certificate", () => ask(port, second, creation("echo")), {
      wanted: (body) => body !== undefined,
    });
    assertEquals(await ask(port, first, creation("echo")), undefined);
    const expiry = await webhook.metric("lightpath_admission_certificate_expiry_timestamp_seconds");
    assertEquals(Math.abs(expiry - Date.now() / 1000 - 3600) < 600, true);

    await put(dir, expired);
    await until("the reason", () => webhook.ready(), {
      wanted: (reason) => reason === "certificate: it has expired at 1970-01-01T01:00:00.000Z",
    });
    assertEquals(await webhook.end(), 0);
    assertMatch(
      webhook.log(),
      / INFO +labelled a new Service service=default\/echo because="has 80\/TCP" dryRun=false/,
    );
    assertMatch(webhook.log(), / INFO +ended as asked\n$/);
  }));

Deno.test("what keeps it from starting is one sentence, and code 1", () =>
  withDir(async (dir) => {
    const run = async (...flags: readonly string[]): Promise<readonly [number, string]> => {
      const [program = "", ...args] = LIGHTPATH;
      const quiet = ["--healthz-bind-address=", "--metrics-bind-address="];
      const command = new Deno.Command(program, {
        args: [...args, "webhook", ...quiet, ...flags],
        stdin: "null",
      });
      const { code, stderr } = await command.output();
      const errors = new TextDecoder().decode(stderr).match(/(?<= ERROR ).*/g) ?? [];
      assertEquals(errors.length, 1);
      return [code, errors[0]!];
    };
    assertEquals(await run(`--certificate-dir=${dir}`), [
      1,
      `cannot read the certificate: No such file or directory (os error 2): readfile '${
        join(dir, "tls.crt")
      }'`,
    ]);
    await put(dir, await issue());
    using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = taken.addr as Deno.NetAddr;
    const [code, sentence] = await run(
      `--certificate-dir=${dir}`,
      `--webhook-bind-address=127.0.0.1:${port}`,
    );
    assertEquals(code, 1);
    assertMatch(
      sentence,
      /^cannot listen on 127\.0\.0\.1:\d+ \(--webhook-bind-address\): the port is in use/,
    );
    const [, nowhere] = await run(`--kubeconfig=${join(dir, "none")}`);
    assertMatch(nowhere, /^cannot use kubeconfig .*none: /);
  }));
