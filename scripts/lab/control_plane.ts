/**
 * A real Kubernetes control plane without containers: one etcd and one kube-apiserver on loopback.
 *
 * In: the paths of the two binaries, a folder for their state, an AbortSignal.
 * Out: a kubeconfig per user, and the handles tests need to hurt it: stop and start the API server on the same
 * port, compact etcd, delete a key behind the API server's back.
 * Invariants: only loopback is used; the processes die with this one; disposal ends both and keeps the folder.
 * Source: kube-apiserver's and etcd's command-line references.
 * @module
 */
import { join } from "@std/path/join";
import { delay } from "@std/async/delay";
import { RunningProgram } from "./running_program.ts";

/** Where the programs are, where they may write, and when to give up. */
export interface ControlPlaneOptions {
  readonly etcd: string;
  readonly kubeApiserver: string;
  /** An existing empty folder; holds etcd's files, certificates, kubeconfigs and the logs. */
  readonly dir: string;
  readonly signal: AbortSignal;
  /** Extra flags of kube-apiserver. */
  readonly apiserverFlags?: readonly string[];
  /** What etcd holds before kube-apiserver starts. */
  readonly etcdEntries?: readonly EtcdEntry[];
}

/**
 * Users that the API server knows by token: one may do everything, one nothing, one what deploy/base/rbac.yaml allows once
 * that is applied.
 */
export type ControlPlaneUser = "admin" | "nobody" | "agent";

/** A key of etcd, e.g. `/registry/namespaces/default`. */
export interface EtcdEntry {
  readonly key: string;
  readonly value: Uint8Array;
}

/** etcd's default of `--max-txn-ops`. */
const MAX_TXN_OPS = 128;

/** Token, user name and groups, as in a token file. */
const USERS: Readonly<Record<ControlPlaneUser, { readonly token: string; readonly rest: string }>> = {
  admin: { token: "admin-token", rest: "admin,1,system:masters" },
  nobody: { token: "nobody-token", rest: "nobody,2" },
  agent: { token: "agent-token", rest: "system:serviceaccount:lightpath-system:lightpath,3" },
};

/** How long a start may take; 3 s is usual on two idle cores. */
const START_DEADLINE_MS = 90_000;

/** A running control plane. Dispose of it with `await using`. */
export class ControlPlane implements AsyncDisposable {
  readonly #options: ControlPlaneOptions;
  readonly #ports: { readonly etcd: number; readonly etcdPeer: number; readonly apiserver: number };
  #etcd: RunningProgram | undefined;
  #apiserver: RunningProgram | undefined;

  /** Use {@linkcode startControlPlane}. */
  constructor(options: ControlPlaneOptions) {
    this.#options = options;
    const [etcd, etcdPeer, apiserver] = freePorts(3);
    this.#ports = { etcd: etcd!, etcdPeer: etcdPeer!, apiserver: apiserver! };
  }

  /** The API server's port on 127.0.0.1. */
  get apiserverPort(): number {
    return this.#ports.apiserver;
  }

  /** The certificate authority of the API server's serving certificate, PEM. Exists once it has started. */
  get caFile(): string {
    return join(this.#options.dir, "certs", "apiserver.crt");
  }

  /** What a user proves itself with. */
  token(user: ControlPlaneUser): string {
    return USERS[user].token;
  }

  /** Starts etcd (a no-op when it runs) and waits until it answers. */
  async startEtcd(): Promise<void> {
    if (this.#etcd !== undefined) return;
    const client = `http://127.0.0.1:${this.#ports.etcd}`;
    const peer = `http://127.0.0.1:${this.#ports.etcdPeer}`;
    this.#etcd = RunningProgram.start(this.#options.etcd, [
      `--data-dir=${join(this.#options.dir, "etcd")}`,
      `--listen-client-urls=${client}`,
      `--advertise-client-urls=${client}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=default=${peer}`,
      "--logger=zap",
    ], join(this.#options.dir, "etcd.log"));
    await this.#waitFor(
      this.#etcd,
      "etcd",
      async () => (await this.#etcdCall("maintenance/status", {})) !== undefined,
    );
  }

  /** Starts kube-apiserver (a no-op when it runs) and waits until `/readyz` says ok. */
  async startApiserver(): Promise<void> {
    if (this.#apiserver !== undefined) return;
    const { dir } = this.#options;
    const serviceAccountKey = join(dir, "service-account.key");
    const tokens = join(dir, "tokens.csv");
    // The same for each start: tokens that were issued before hold on.
    if (!await exists(serviceAccountKey)) {
      await Deno.writeTextFile(serviceAccountKey, await createPrivateKeyPem());
    }
    const lines = Object.values(USERS).map(({ token, rest }) => `${token},${rest}\n`);
    await Deno.writeTextFile(tokens, lines.join(""));
    this.#apiserver = RunningProgram.start(this.#options.kubeApiserver, [
      `--etcd-servers=http://127.0.0.1:${this.#ports.etcd}`,
      "--bind-address=127.0.0.1",
      `--secure-port=${this.#ports.apiserver}`,
      `--cert-dir=${join(dir, "certs")}`,
      `--token-auth-file=${tokens}`,
      "--authorization-mode=RBAC",
      "--service-account-issuer=https://kubernetes.default.svc",
      `--service-account-signing-key-file=${serviceAccountKey}`,
      `--service-account-key-file=${serviceAccountKey}`,
      "--service-cluster-ip-range=10.96.0.0/16,fd00:96::/108",
      // Without a default route there is no address to derive this from; nothing ever connects to it.
      "--advertise-address=192.0.2.1",
      "--endpoint-reconciler-type=none",
      "--disable-admission-plugins=ServiceAccount",
      ...(this.#options.apiserverFlags ?? []),
    ], join(dir, "kube-apiserver.log"));
    await this.#waitFor(this.#apiserver, "kube-apiserver", async () => {
      if (!await exists(this.caFile)) return false;
      const response = await this.#request("GET", "/readyz");
      return response.status === 200;
    });
  }

  /** Ends kube-apiserver at once, as a crash would, and waits until its port is free. */
  async stopApiserver(): Promise<void> {
    const program = this.#apiserver;
    this.#apiserver = undefined;
    await program?.kill();
  }

  /**
   * Sends a request as `admin` and returns the decoded body.
   * @throws {Error} when the status is not 2xx.
   */
  async call(
    method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE",
    path: string,
    body?: unknown,
  ): Promise<unknown> {
    const response = await this.#request(method, path, body);
    if (response.status >= 300) throw new Error(`${method} ${path}: ${response.status} ${response.text}`);
    return JSON.parse(response.text);
  }

  /** Writes a kubeconfig for a user and returns its path. */
  async kubeconfig(user: ControlPlaneUser, port: number = this.#ports.apiserver): Promise<string> {
    const path = join(this.#options.dir, `${user}-${port}.kubeconfig`);
    await Deno.writeTextFile(
      path,
      JSON.stringify({
        apiVersion: "v1",
        kind: "Config",
        clusters: [{
          name: "lab",
          cluster: { server: `https://127.0.0.1:${port}`, "certificate-authority": this.caFile },
        }],
        users: [{ name: user, user: { token: USERS[user].token } }],
        contexts: [{ name: "lab", context: { cluster: "lab", user } }],
        "current-context": "lab",
      }),
    );
    return path;
  }

  /**
   * Writes keys into etcd behind the API server's back: before it starts, the way to many objects in seconds (through the
   * API each Service costs time that grows with their number, because the allocator of VIPs counts them all).
   */
  async putEtcd(entries: readonly EtcdEntry[]): Promise<void> {
    const encoder = new TextEncoder();
    for (let from = 0; from < entries.length; from += MAX_TXN_OPS) {
      const success = entries.slice(from, from + MAX_TXN_OPS).map(({ key, value }) => ({
        requestPut: { key: encoder.encode(key).toBase64(), value: value.toBase64() },
      }));
      await this.#etcdCall("kv/txn", { success });
    }
  }

  /** Makes etcd forget all history before now: a watch from an older resourceVersion can no longer resume. */
  async compactEtcd(): Promise<void> {
    const status = await this.#etcdCall("maintenance/status", {}) as { header?: { revision?: string } };
    await this.#etcdCall("kv/compaction", { revision: status.header?.revision, physical: true });
  }

  /** Ends both programs. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopApiserver();
    const etcd = this.#etcd;
    this.#etcd = undefined;
    await etcd?.kill();
  }

  async #etcdCall(method: string, body: unknown): Promise<unknown> {
    // etcd's JSON gateway, enabled by default since 3.4.
    const response = await fetch(`http://127.0.0.1:${this.#ports.etcd}/v3/${method}`, {
      method: "POST",
      body: JSON.stringify(body),
      // A compaction is waited for until it is on disk.
      signal: AbortSignal.timeout(30_000),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`etcd ${method}: ${response.status} ${text}`);
    return JSON.parse(text);
  }

  async #request(method: string, path: string, body?: unknown): Promise<{ status: number; text: string }> {
    using client = Deno.createHttpClient({ caCerts: [await Deno.readTextFile(this.caFile)] });
    const response = await fetch(`https://127.0.0.1:${this.#ports.apiserver}${path}`, {
      client,
      method,
      headers: {
        Authorization: `Bearer ${USERS.admin.token}`,
        "Content-Type": method === "PATCH" ? "application/merge-patch+json" : "application/json",
      },
      body: body === undefined ? null : JSON.stringify(body),
      signal: AbortSignal.timeout(30_000),
    });
    return { status: response.status, text: await response.text() };
  }

  async #waitFor(program: RunningProgram, name: string, ready: () => Promise<boolean>): Promise<void> {
    const deadlineMs = performance.now() + START_DEADLINE_MS;
    for (;;) {
      this.#options.signal.throwIfAborted();
      if (program.ended) {
        throw new Error(`${name} ended while starting; its log ends with:\n${await program.logTail()}`);
      }
      try {
        if (await ready()) return;
      } catch (error) {
        if (performance.now() > deadlineMs) throw new Error(`${name} did not become ready`, { cause: error });
      }
      if (performance.now() > deadlineMs) {
        throw new Error(`${name} did not become ready; its log ends with:\n${await program.logTail()}`);
      }
      await delay(100, { signal: this.#options.signal });
    }
  }
}

/**
 * Starts etcd and kube-apiserver and waits until both answer.
 * @throws {Error} when one of them ends or stays silent, with the end of its log.
 */
export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const plane = new ControlPlane(options);
  try {
    await plane.startEtcd();
    await plane.putEtcd(options.etcdEntries ?? []);
    await plane.startApiserver();
    return plane;
  } catch (error) {
    await plane[Symbol.asyncDispose]();
    throw error;
  }
}

/** Asks the kernel for ports nobody listens on. They are free at that moment; nothing reserves them. */
export function freePorts(count: number): number[] {
  const listeners = Array.from({ length: count }, () => Deno.listen({ hostname: "127.0.0.1", port: 0 }));
  const ports = listeners.map((listener) => (listener.addr as Deno.NetAddr).port);
  for (const listener of listeners) listener.close();
  return ports;
}

async function createPrivateKeyPem(): Promise<string> {
  const pair = await crypto.subtle.generateKey(
    {
      name: "RSASSA-PKCS1-v1_5",
      modulusLength: 2048,
      publicExponent: new Uint8Array([1, 0, 1]),
      hash: "SHA-256",
    },
    true,
    ["sign", "verify"],
  ) as CryptoKeyPair;
  const bytes = new Uint8Array(await crypto.subtle.exportKey("pkcs8", pair.privateKey));
  const lines = btoa(String.fromCharCode(...bytes)).match(/.{1,64}/g) ?? [];
  return `-----BEGIN PRIVATE KEY-----\n${lines.join("\n")}\n-----END PRIVATE KEY-----\n`;
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
