import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertRejects } from "@std/assert/rejects";
import { join } from "@std/path/join";
import { createLogger, silentLogger } from "../../agent/log.ts";
import { CertificateFileError, followCertificateFiles } from "./from_files.ts";
import { issueCertificate, type IssuedCertificate } from "./issue.ts";

const issue = (nowMs = Date.now()): Promise<IssuedCertificate> =>
  issueCertificate({ names: ["a.svc"], lifetimeMs: 3600_000, nowMs, commonName: "test" });

/** A folder as the kubelet mounts a Secret: files behind a link to a folder, which is replaced as a whole. */
class MountedSecret implements AsyncDisposable {
  readonly dir: string;
  #version = 0;

  private constructor(dir: string) {
    this.dir = dir;
  }

  static async create(certificate: IssuedCertificate): Promise<MountedSecret> {
    const secret = new MountedSecret(await Deno.makeTempDir({ prefix: "lp-" }));
    await secret.put({ "tls.crt": certificate.certificate, "tls.key": certificate.key });
    for (const name of ["tls.crt", "tls.key"]) {
      await Deno.symlink(join("..data", name), join(secret.dir, name));
    }
    return secret;
  }

  async put(files: Readonly<Record<string, string>>): Promise<void> {
    const version = `..${++this.#version}`;
    await Deno.mkdir(join(this.dir, version));
    for (const [name, text] of Object.entries(files)) {
      await Deno.writeTextFile(join(this.dir, version, name), text);
    }
    await Deno.symlink(version, join(this.dir, "..data_tmp"));
    await Deno.rename(join(this.dir, "..data_tmp"), join(this.dir, "..data"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.dir, { recursive: true });
  }
}

Deno.test("certificates are followed as they are replaced, and the last good one stays", async () => {
  const [first, second, expired] = [await issue(), await issue(), await issue(0)];
  await using secret = await MountedSecret.create(first);
  const served: string[] = [];
  const ends: number[] = [];
  let log = "";
  const ended = new AbortController();
  // One change after each reading.
  const changes: (() => Promise<void>)[] = [
    () => secret.put({ "tls.crt": second.certificate, "tls.key": first.key }),
    () => secret.put({ "tls.crt": second.certificate }),
    () => secret.put({ "tls.crt": second.certificate, "tls.key": second.key }),
    () => secret.put({ "tls.crt": expired.certificate, "tls.key": expired.key }),
  ];
  let changing = Promise.resolve();
  await followCertificateFiles({
    certificatePath: join(secret.dir, "tls.crt"),
    keyPath: join(secret.dir, "tls.key"),
    logger: createLogger({ level: "info", format: "text", write: (line) => log += `${line}\n` }),
    serve: ({ certificate }) => {
      served.push(certificate);
      return Promise.resolve();
    },
    onRead: (notAfterMs) => {
      ends.push(notAfterMs);
      const change = changes.shift();
      if (change === undefined) ended.abort();
      else changing = changing.then(change);
    },
    intervalMs: 200,
  }, ended.signal);
  await changing;
  assertEquals(served, [first.certificate, second.certificate, expired.certificate]);
  assertEquals(ends.map((notAfterMs) => notAfterMs > Date.now()), [true, true, true, true, false]);
  assertMatch(log, /going on with the last certificate .*has another certificate's key/);
  assertMatch(log, /going on with the last certificate .*cannot read the certificate: No such file/);
});

Deno.test("without a certificate to begin with there is one sentence", async () => {
  const dir = await Deno.makeTempDir({ prefix: "lp-" });
  try {
    const follow = (): Promise<void> =>
      followCertificateFiles({
        certificatePath: join(dir, "tls.crt"),
        keyPath: join(dir, "tls.key"),
        logger: silentLogger,
        serve: () => Promise.resolve(),
        onRead: () => {},
      }, AbortSignal.timeout(10_000));
    await assertRejects(follow, CertificateFileError, "cannot read the certificate: No such file");
    for (const name of ["tls.crt", "tls.key"]) await Deno.writeTextFile(join(dir, name), "nonsense");
    await assertRejects(
      follow,
      CertificateFileError,
      `the certificate ${join(dir, "tls.crt")} is no certificate (`,
    );
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
