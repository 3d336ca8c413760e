import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { inspectCertificate } from "./inspect.ts";
import { BACKDATED_MS, issueCertificate } from "./issue.ts";
import { generationOf, readGenerations, writeGenerations } from "./secret.ts";

const NAMES = ["lightpath-webhook.lightpath-system.svc"];
const NOW_MS = Date.UTC(2026, 0, 31, 12, 0, 0, 250);
const LIFETIME_MS = 3600_000;

const issue = (names: readonly string[] = NAMES): ReturnType<typeof issueCertificate> =>
  issueCertificate({ names, lifetimeMs: LIFETIME_MS, nowMs: NOW_MS, commonName: "test" });

const issued = await issue();
const stored = generationOf(issued, { createdMs: NOW_MS, lifetimeMs: LIFETIME_MS, random: "0a1b2c3d" });
const base64 = (text: string): string => new TextEncoder().encode(text).toBase64();

Deno.test("issueCertificate(): holds from an hour ago on, names what it is called by, and is no authority", async () => {
  const { ca, certificate } = await issue(["a.b.svc", "192.0.2.1", "fd00::1"]);
  const [leaf, authority] = [new X509Certificate(certificate), new X509Certificate(ca)];
  assertEquals(leaf.validFromDate.getTime(), Math.floor((NOW_MS - BACKDATED_MS) / 1000) * 1000);
  assertEquals(leaf.validToDate.getTime(), Math.floor((NOW_MS + LIFETIME_MS) / 1000) * 1000);
  assertEquals([leaf.ca, authority.ca, leaf.verify(authority.publicKey)], [false, true, true]);
  assertEquals(leaf.checkHost("a.b.svc"), "a.b.svc");
  assertEquals([leaf.checkIP("192.0.2.1"), leaf.checkIP("fd00::1")], ["192.0.2.1", "fd00::1"]);
  assertMatch(ca, /^-----BEGIN CERTIFICATE-----\n[^-]+\n-----END CERTIFICATE-----\n$/);
});

Deno.test("a generation is read as it was written, beside what others keep there", () => {
  const data = writeGenerations({ theirs: base64("x"), "20200101T000000Z-00000000.tls.key": "" }, [stored]);
  assertEquals(Object.keys(data).sort(), [
    "20260131T120000Z-0a1b2c3d.ca.crt",
    "20260131T120000Z-0a1b2c3d.tls.crt",
    "20260131T120000Z-0a1b2c3d.tls.key",
    "theirs",
  ]);
  assertEquals(readGenerations(data, { names: NAMES, nowMs: NOW_MS }), { generations: [stored], faults: [] });
  assertEquals(stored.createdMs, Date.UTC(2026, 0, 31, 12));
  assertEquals(readGenerations({}, { names: NAMES, nowMs: NOW_MS }), { generations: [], faults: [] });
});

Deno.test("what cannot be used is left out, and said why", async () => {
  const data = writeGenerations({}, [stored]);
  const id = stored.id;
  const other = await issue();
  const faultOf = (
    changes: Record<string, string>,
    { names = NAMES, nowMs = NOW_MS }: { readonly names?: readonly string[]; readonly nowMs?: number } = {},
  ): string => {
    const { generations, faults } = readGenerations({ ...data, ...changes }, { names, nowMs });
    assertEquals(generations, []);
    return faults.join();
  };
  assertMatch(faultOf({ [`${id}.tls.crt`]: "%%%" }), /^certificate 2026\S+ is no certificate \(/);
  assertMatch(
    faultOf({ [`${id}.tls.crt`]: base64(issued.certificate.slice(0, 200)) }),
    /is no certificate \(/,
  );
  assertMatch(faultOf({ [`${id}.tls.key`]: base64("no key") }), /has a key that cannot be read \(/);
  assertMatch(faultOf({ [`${id}.tls.key`]: base64(other.key) }), /has another certificate's key$/);
  assertMatch(faultOf({ [`${id}.ca.crt`]: base64(other.ca) }), /is not signed by its authority$/);
  assertMatch(faultOf({ [`${id}.ca.crt`]: base64(issued.certificate) }), /is not signed by its authority$/);
  assertMatch(faultOf({ [`${id}.ca.crt`]: "" }), /has an authority that cannot be read \(/);
  assertMatch(faultOf({}, { names: ["else.svc"] }), /does not name else\.svc, where it is to be called$/);
  assertEquals(
    faultOf({}, { nowMs: stored.notAfterMs }),
    `certificate ${id} has expired at 2026-01-31T13:00:00.000Z`,
  );
  const moved = Object.fromEntries(
    Object.entries(data).map(([key, value]) => [key.replace("20260131T12", "20261331T12"), value]),
  );
  assertEquals(readGenerations(moved, { names: NAMES, nowMs: NOW_MS }).faults, [
    "certificate 20261331T120000Z-0a1b2c3d is named by no time",
  ]);
});

Deno.test("inspectCertificate(): keys as OpenSSL and cert-manager write them are fine", () => {
  const inspected = inspectCertificate(issued, { ca: issued.ca, names: NAMES });
  if ("fault" in inspected) throw new Error(inspected.fault);
  assertEquals(inspected.notAfterMs, stored.notAfterMs);
  const key = createPrivateKey(issued.key).export({ type: "sec1", format: "pem" }).toString();
  assertMatch(key, /BEGIN EC PRIVATE KEY/);
  assertEquals("fault" in inspectCertificate({ ...issued, key }), false);
  // The chain behind the certificate is not looked at.
  const chained = inspectCertificate({ ...issued, certificate: issued.certificate + issued.ca });
  assertEquals("fault" in chained, false);
});
