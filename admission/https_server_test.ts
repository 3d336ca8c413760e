import { assertEquals } from "@std/assert/equals";
import { assertRejects } from "@std/assert/rejects";
import { X509Certificate } from "node:crypto";
import tls from "node:tls";
import { BindError } from "../agent/http_server.ts";
import { silentLogger } from "../agent/log.ts";
import { answerHttp, MAX_BODY_BYTES } from "./answer_http.ts";
import { issueCertificate, type IssuedCertificate } from "./certificates/issue.ts";
import { type AdmissionServer, startAdmissionServer } from "./https_server.ts";

const RULES = { proxyName: "lightpath.cloud", excludedNamespaces: [] };
const REVIEW = JSON.stringify({
  kind: "AdmissionReview",
  apiVersion: "admission.k8s.io/v1",
  request: { uid: "1", operation: "UPDATE", resource: { group: "", version: "v1", resource: "services" } },
});

function issue(): Promise<IssuedCertificate> {
  const names = ["localhost", "127.0.0.1"];
  return issueCertificate({ names, lifetimeMs: 3600_000, nowMs: Date.now(), commonName: "test" });
}

function start(
  certificate: IssuedCertificate,
  { port = 0, ...options }: { readonly port?: number; readonly bodyDeadlineMs?: number } = {},
): Promise<AdmissionServer> {
  return startAdmissionServer({
    ...options,
    address: { hostname: "127.0.0.1", port },
    usedFor: "--webhook-bind-address",
    certificate,
    answer: (request) => answerHttp(request, RULES),
    logger: silentLogger,
  });
}

/** What a client gets that trusts only this authority. */
async function post(
  server: AdmissionServer,
  { ca }: IssuedCertificate,
  body: string | Uint8Array<ArrayBuffer> = REVIEW,
): Promise<readonly [number, string]> {
  using client = Deno.createHttpClient({ caCerts: [ca], http2: false });
  const response = await fetch(`https://127.0.0.1:${server.address.port}/mutate`, {
    client,
    method: "POST",
    headers: { "content-type": "application/json" },
    body,
  });
  return [response.status, await response.text()];
}

/** A connection that is kept, as API servers do. */
async function connect({ address }: AdmissionServer, { ca }: IssuedCertificate): Promise<{
  readonly serial: string;
  /** Sends a review; returns the head of the answer, or `closed`. */
  ask(): Promise<string>;
  /** Sends the beginning of one; the function returned sends the rest and gives the head of the answer. */
  begin(): () => Promise<string>;
  /** Sends the beginning only; returns the head of the answer. */
  beginOnly(): Promise<string>;
  close(): void;
}> {
  const socket = tls.connect({ host: "127.0.0.1", port: address.port, ca, servername: "localhost" });
  await new Promise<void>((resolve, reject) => socket.once("secureConnect", resolve).once("error", reject));
  const serial = new X509Certificate(socket.getPeerCertificate().raw).serialNumber;
  let ended = false;
  socket.on("close", () => ended = true);
  const head =
    `POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${REVIEW.length}\r\n\r\n`;
  const answer = (): Promise<string> =>
    new Promise((resolve) => {
      if (ended) return resolve("closed");
      socket.once("data", (chunk: Uint8Array) =>
        resolve(new TextDecoder().decode(chunk).split("\r\n\r\n")[0]!));
      socket.once("close", () =>
        resolve("closed"));
    });
  const send = (text: string): Promise<string> => {
    const answered = answer();
    if (!ended) socket.write(text);
    return answered;
  };
  return {
    serial,
    ask: () => send(head + REVIEW),
    begin: () => {
      socket.write(head + REVIEW.slice(0, 10));
      return () => send(REVIEW.slice(10));
    },
    beginOnly: () => send(head + REVIEW.slice(0, 10)),
    close: () => socket.destroy(),
  };
}

Deno.test("a review is answered over TLS, and what is none is refused", async () => {
  const certificate = await issue();
  await using server = await start(certificate);
  const [status, body] = await post(server, certificate);
  assertEquals([status, JSON.parse(body).response.uid], [200, "1"]);
  assertEquals(await post(server, certificate, "{"), [
    400,
    "the body is not JSON: Expected property name or '}' in JSON at position 1 (line 1 column 2)\n",
  ]);
  await assertRejects(async () => await post(server, await issue()), TypeError);
});

Deno.test("a body that is too long is refused in words, of whatever size, and the server goes on", async () => {
  const certificate = await issue();
  await using server = await start(certificate);
  const most = new Uint8Array(MAX_BODY_BYTES).fill(0x20);
  assertEquals(await post(server, certificate, most), [400, "the body is empty\n"]);
  const sentence = `the body is longer than ${MAX_BODY_BYTES} bytes\n`;
  assertEquals(await post(server, certificate, new Uint8Array(MAX_BODY_BYTES + 1)), [413, sentence]);
  assertEquals(await post(server, certificate, new Uint8Array(2 * MAX_BODY_BYTES)), [413, sentence]);
  assertEquals((await post(server, certificate))[0], 200);
});

Deno.test("a body that does not come is not waited for", async () => {
  const certificate = await issue();
  await using server = await start(certificate, { bodyDeadlineMs: 300 });
  const slow = await connect(server, certificate);
  const answer = await slow.beginOnly();
  assertEquals(answer.split("\r\n")[0], "HTTP/1.1 408 Request Timeout");
  assertEquals(/connection: close/i.test(answer), true);
  assertEquals((await post(server, certificate))[0], 200);
  slow.close();
});

Deno.test("a new certificate is shown to who comes next, and connections go on", async () => {
  const [first, second] = [await issue(), await issue()];
  await using server = await start(first);
  const kept = await connect(server, first);
  server.useCertificate(second);
  assertEquals((await post(server, second))[0], 200);
  await assertRejects(() => post(server, first), TypeError);
  const later = await connect(server, second);
  assertEquals(kept.serial === later.serial, false);
  assertEquals((await kept.ask()).split("\r\n")[0], "HTTP/1.1 200 OK");
  for (const connection of [kept, later]) connection.close();
});

Deno.test("while it drains each answer is the last of its connection, and at the end none is lost", async () => {
  const certificate = await issue();
  const server = await start(certificate);
  const [idle, used] = [await connect(server, certificate), await connect(server, certificate)];
  assertEquals(/connection: close/i.test(await used.ask()), false);
  server.drain();
  assertEquals(/connection: close/i.test(await used.ask()), true);
  assertEquals(await used.ask(), "closed");
  const late = await connect(server, certificate);
  const finish = late.begin();
  // The beginning has to be there before the server closes what is idle.
  await post(server, certificate);
  const ended = server[Symbol.asyncDispose]();
  assertEquals((await finish()).split("\r\n")[0], "HTTP/1.1 200 OK");
  await ended;
  for (const connection of [idle, used, late]) connection.close();
});

Deno.test("an address that is in use is named", async () => {
  const certificate = await issue();
  await using server = await start(certificate);
  const { port } = server.address;
  await assertRejects(
    () => start(certificate, { port }),
    BindError,
    `cannot listen on 127.0.0.1:${port} (--webhook-bind-address): the port is in use`,
  );
});
