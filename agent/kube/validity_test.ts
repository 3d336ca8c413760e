import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertRejects } from "@std/assert/rejects";
import https from "node:https";
import type { AddressInfo } from "node:net";
import { issueCertificate } from "../../admission/certificates/issue.ts";
import { renderKubeconfig } from "../../scripts/lab/service_account.ts";
import { KubeApiError } from "./kube_api_error.ts";
import { KubeTransport } from "./transport.ts";
import { certificateValidity, tokenValidity, whyCredentialsRefused } from "./validity.ts";

const HOUR_MS = 3600_000;
const NOW_MS = Date.parse("2026-06-01T12:00:00Z");
const NONE = { token: undefined, certificate: undefined };

/** As an API server issues it, but for its signature. */
function token(claims: Readonly<Record<string, number>>): string {
  const encode = (value: unknown): string =>
    new TextEncoder().encode(JSON.stringify(value)).toBase64({ alphabet: "base64url", omitPadding: true });
  return `${encode({ alg: "RS256" })}.${encode(claims)}.c2lnbmF0dXJl`;
}

Deno.test("a token's claims say when it holds; what is no such token says nothing", () => {
  const [from, to] = [NOW_MS / 1000, NOW_MS / 1000 + 3600];
  assertEquals(tokenValidity(token({ nbf: from, iat: 0, exp: to })), {
    fromMs: NOW_MS,
    toMs: NOW_MS + HOUR_MS,
  });
  assertEquals(tokenValidity(token({ iat: from })), { fromMs: NOW_MS, toMs: undefined });
  for (const text of ["", "opaque", "a.b.c", "a.bnVsbA.c"]) assertEquals(tokenValidity(text), undefined);
  assertEquals(certificateValidity("none"), undefined);
});

Deno.test("what is refused for the time is said with both clocks", () => {
  const clocks = { ownMs: NOW_MS, serverMs: NOW_MS - 2 * HOUR_MS };
  assertEquals(
    whyCredentialsRefused({ ...NONE, token: token({ nbf: NOW_MS / 1000 - 3600 }) }, clocks),
    "the token does not hold before 2026-06-01T11:00:00Z by the API server's clock, which says 2026-06-01T10:00:00Z; " +
      "this node's clock is 7200 s ahead of the API server's: set it",
  );
  assertEquals(
    whyCredentialsRefused({ ...NONE, token: token({ exp: NOW_MS / 1000 - 3600 }) }, {
      ...clocks,
      serverMs: NOW_MS,
    }),
    "the token expired at 2026-06-01T11:00:00Z by the API server's clock, which says 2026-06-01T12:00:00Z: renew it",
  );
  const behind = { ownMs: NOW_MS, serverMs: NOW_MS + HOUR_MS };
  assertEquals(
    whyCredentialsRefused(NONE, behind),
    "this node's clock is 3600 s behind the API server's: set it",
  );
  // Neither is why.
  const held = { ...NONE, token: token({ nbf: NOW_MS / 1000 - 1, exp: NOW_MS / 1000 + 1 }) };
  assertEquals(whyCredentialsRefused(held, { ownMs: NOW_MS, serverMs: undefined }), undefined);
});

/** What is said when an API server has a certificate that was issued at another time. */
async function saidOf(issuedMs: number): Promise<string> {
  const { ca, certificate, key } = await issueCertificate({
    names: ["127.0.0.1"],
    lifetimeMs: 24 * HOUR_MS,
    nowMs: issuedMs,
    commonName: "validity-test",
  });
  const server = https.createServer({ key, cert: certificate }, (_, response) => response.end("{}"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const file = await Deno.makeTempFile();
  try {
    const { port } = server.address() as AddressInfo;
    await Deno.writeTextFile(file, renderKubeconfig({ host: "127.0.0.1", port, token: "any", ca }));
    const transport = await KubeTransport.open({ kubeconfig: file });
    const request = transport.describe({ verb: "list", kind: "Service" });
    const asking = (): Promise<unknown> => transport.get(request, { path: "/" }, AbortSignal.timeout(10_000));
    return (await assertRejects(asking, KubeApiError)).message;
  } finally {
    await Deno.remove(file);
    await new Promise((resolve) => server.close(resolve));
  }
}

Deno.test("an API server's certificate of another time is told from one that nobody vouches for", async () => {
  const now = Date.now();
  assertMatch(
    await saidOf(now + 48 * HOUR_MS),
    /^cannot list services at https:\S+ its certificate does not hold before \S+Z, and this node's clock says \S+Z: set this node's clock/,
  );
  assertMatch(
    await saidOf(now - 72 * HOUR_MS),
    /its certificate expired at \S+Z, and this node's clock says \S+Z: renew the API server's certificate/,
  );
});
