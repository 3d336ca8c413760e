import { assertEquals } from "@std/assert/equals";
import { assertStringIncludes } from "@std/assert/string-includes";
import { type CommandLine, type Config, parseCommandLine } from "./config.ts";
import { COMMANDS, envName, type Setting, SETTINGS } from "./settings.ts";

interface Given {
  readonly env?: Readonly<Record<string, string>>;
  readonly files?: Readonly<Record<string, string>>;
}

function parse(line: string, given: Given = {}): CommandLine {
  return parseCommandLine(line === "" ? [] : line.split(" ").map((word) => word === "''" ? "" : word), {
    env: given.env ?? {},
    hostname: () => "Node-1",
    readTextFile: (path) => {
      const content = given.files?.[path];
      if (content === undefined) throw new Deno.errors.NotFound("no such file");
      return content;
    },
  });
}

function configOf(line: string, given?: Given): Config {
  const parsed = parse(line, given);
  if (parsed.kind !== "run") {
    throw new Error(`${line}: ${parsed.kind === "error" ? parsed.message : parsed.kind}`);
  }
  return parsed.config;
}

/** The error's lines without the last, which points at --help. */
function errorsOf(line: string, given?: Given): string[] {
  const parsed = parse(line, given);
  return parsed.kind === "error" ? parsed.message.split("\n").slice(0, -1) : [`not an error: ${parsed.kind}`];
}

Deno.test("without any setting the defaults are kube-proxy's where it has them", () => {
  const config = configOf("agent", { env: { HOME: "/root" } });
  assertEquals(config, {
    nodeName: "node-1",
    zone: "",
    tcpPath: "envoy",
    manifests: [],
    kubeconfig: "",
    context: "",
    serviceProxyName: "",
    mode: "on-demand",
    sourceAddress: "preserve",
    markMask: 0x1040,
    routeTable: 1676,
    redirect: "auto",
    envoy: "run",
    drainTimeMs: 5_000,
    envoyBin: "",
    envoyConcurrency: 0,
    envoyLogLevel: "warning",
    runDir: "/run/lightpath",
    stateDir: "/var/lib/lightpath",
    agentSocket: "/run/lightpath/agent.sock",
    adsSocket: "/run/lightpath/ads.sock",
    adsAddress: undefined,
    envoyAdminSocket: "/run/lightpath/envoy-admin.sock",
    tcpPort: 1666,
    httpPort: 1667,
    ipFamilies: "auto",
    clusterCIDRs: [],
    serviceCIDRs: "auto",
    nodeportAddresses: "primary",
    nodeIPs: [],
    resyncIntervalMs: 600_000,
    nftBin: "nft",
    ipBin: "ip",
    iptablesBin: "",
    ipsetBin: "ipset",
    sysctlDir: "/proc/sys",
    conntrackBin: "conntrack",
    conntrackMaxPerCore: 32_768,
    conntrackMin: 131_072,
    conntrackTCPTimeoutEstablishedMs: 86_400_000,
    conntrackTCPTimeoutCloseWaitMs: 3_600_000,
    cacheDir: "/root/.cache/lightpath",
    healthzBindAddress: { hostname: "0.0.0.0", port: 10256 },
    metricsBindAddress: { hostname: "127.0.0.1", port: 10249 },
    logLevel: "info",
    logFormat: "text",
    output: "-",
    format: "yaml",
    service: "",
    all: false,
    json: false,
    excludeNamespaces: ["kube-system", "lightpath-system", "cert-manager"],
    webhookBindAddress: { hostname: "0.0.0.0", port: 8443 },
    certificateDir: "",
    webhookConfiguration: "lightpath",
    webhookSecret: "lightpath-system/lightpath-webhook",
    certificateLifetimeMs: 1_209_600_000,
    namespace: "",
    release: false,
    dryRun: false,
  });
});

Deno.test("flag wins over environment, environment over file, file over default", () => {
  const files = { "l.yaml": "mode: eager\nlog-level: error\ntcp-port: 7\nresync-interval: 1m" };
  const env = { LIGHTPATH_CONFIG: "l.yaml", LIGHTPATH_LOG_LEVEL: "warn", LIGHTPATH_TCP_PORT: "8" };
  const config = configOf("agent --tcp-port 9", { env, files });
  assertEquals([config.mode, config.logLevel, config.tcpPort, config.resyncIntervalMs, config.httpPort], [
    "eager",
    "warn",
    9,
    60_000,
    1667,
  ]);
});

Deno.test("the node's name: flag, NODE_NAME, host name, lowered as kube-proxy does", () => {
  const env = { NODE_NAME: "from-env" };
  assertEquals(configOf("agent --node-name FLAG", { env }).nodeName, "flag");
  assertEquals(configOf("agent", { env }).nodeName, "from-env");
  assertEquals(configOf("agent").nodeName, "node-1");
  assertEquals(errorsOf("agent", { env: { NODE_NAME: "a b" } }), [
    '--node-name from environment variable NODE_NAME: "a b" is not what is wanted: ' +
    "a node's name (lower-case letters, digits, '-' and '.')",
  ]);
});

Deno.test("--run-dir moves both sockets, unless they are given", () => {
  const config = configOf("agent --ads-socket /a/x.sock --run-dir /tmp/r");
  assertEquals([config.adsSocket, config.envoyAdminSocket], ["/a/x.sock", "/tmp/r/envoy-admin.sock"]);
});

Deno.test("explain takes the Service without a flag's name, and flags that need no value", () => {
  const { service, all, json } = configOf("explain --all default/echo --json=false");
  assertEquals({ service, all, json }, { service: "default/echo", all: true, json: false });
  assertEquals(configOf("explain --service default/echo").service, "default/echo");
  const cases: readonly (readonly [string, string])[] = [
    ["explain", "which Service? lightpath explain <namespace>/<service>"],
    [
      "explain echo",
      'the argument of "explain": "echo" is not what is wanted: a Service as <namespace>/<service>',
    ],
    ["explain a/b c/d", '"c/d" is neither a flag nor the value of one'],
    ["explain a/b --all=maybe", '--all: "maybe" is not what is wanted: true or false'],
  ];
  for (const [line, wanted] of cases) assertEquals(errorsOf(line), [wanted]);
});

Deno.test("lists add up over flags, are split by comma or colon where that is usual, and may be YAML lists", () => {
  assertEquals(configOf("agent --manifests a --manifests b,c").manifests, ["a", "b,c"]);
  assertEquals(configOf("agent", { env: { LIGHTPATH_MANIFESTS: "a:b" } }).manifests, ["a", "b"]);
  const files = { f: "manifests: [a, b]\nnodeport-addresses:\n- 10.1.2.3/8\n- FD00::1/16" };
  const config = configOf("agent --config f", { files });
  assertEquals(config.manifests, ["a", "b"]);
  assertEquals(config.nodeportAddresses, ["10.0.0.0/8", "fd00::/16"]);
  assertEquals(configOf("agent --nodeport-addresses 10.0.0.0/8,fd00::/8").nodeportAddresses.length, 2);
  assertEquals(configOf("agent --nodeport-addresses primary").nodeportAddresses, "primary");
  assertEquals(configOf("agent --cluster-cidr 10.244.7.0/16,fd00:10::/48").clusterCIDRs, [
    "10.244.0.0/16",
    "fd00:10::/48",
  ]);
  assertEquals(configOf("agent --service-cidr auto").serviceCIDRs, "auto");
  assertEquals(configOf("agent --service-cidr 10.96.0.0/16").serviceCIDRs, ["10.96.0.0/16"]);
  assertEquals(configOf("agent --node-ip 192.0.2.1,2001:DB8::1").nodeIPs, ["192.0.2.1", "2001:db8::1"]);
});

Deno.test("bind addresses: bare address, IPv6 in brackets, empty for nowhere", () => {
  const config = configOf("agent --healthz-bind-address [::]:1 --metrics-bind-address 0.0.0.0");
  assertEquals(config.healthzBindAddress, { hostname: "::", port: 1 });
  assertEquals(config.metricsBindAddress, { hostname: "0.0.0.0", port: 10249 });
  assertEquals(configOf("agent --metrics-bind-address ''").metricsBindAddress, undefined);
  assertEquals(configOf("agent --metrics-bind-address=").metricsBindAddress, undefined);
});

Deno.test("unknown names are errors that tell the nearest", () => {
  const cases: readonly (readonly [string, Given, string])[] = [
    ["agent --node-nme x", {}, "unknown flag --node-nme; the nearest is --node-name"],
    ["agent --mod=eager", {}, "unknown flag --mod; the nearest is --mode"],
    ["agent -mode eager", {}, "unknown flag -mode; the nearest is --mode"],
    [
      "agent --hostname-override x",
      {},
      "unknown flag --hostname-override: kube-proxy's hostname-override is --node-name here",
    ],
    ["agent extra", {}, '"extra" is neither a flag nor the value of one'],
    [
      "agent",
      { env: { LIGHTPATH_NODE_NAM: "x" } },
      "unknown environment variable LIGHTPATH_NODE_NAM; the nearest is LIGHTPATH_NODE_NAME",
    ],
    [
      "agent --config f",
      { files: { f: "mode: eager\nnode-nme: x" } },
      'f:2: unknown key "node-nme"; the nearest is "node-name"',
    ],
    ["agent --output x", {}, '--output is a flag of "bootstrap", not of "agent"'],
  ];
  for (const [line, given, wanted] of cases) assertEquals(errorsOf(line, given), [wanted]);
  const parsed = parse("agnt");
  assertEquals(
    parsed.kind === "error" && parsed.message.startsWith('unknown command "agnt"; the nearest is "agent"'),
    true,
  );
});

Deno.test("bad values name source, value and what is wanted", () => {
  const duration = "a duration like 500ms, 10s, 1m30s or 10m, at least 1s";
  const cases: readonly (readonly [string, Given, string])[] = [
    ["agent --mode fast", {}, '--mode: "fast" is not what is wanted: one of on-demand, eager'],
    ["agent --tcp-port 0", {}, '--tcp-port: "0" is not what is wanted: a port from 1 to 65535'],
    ["agent --tcp-port", {}, "--tcp-port wants a value: a port from 1 to 65535"],
    ["agent --mode --tcp-port 5", {}, "--mode wants a value: one of on-demand, eager"],
    [
      "agent",
      { env: { LIGHTPATH_RESYNC_INTERVAL: "10" } },
      `environment variable LIGHTPATH_RESYNC_INTERVAL: "10" is not what is wanted: ${duration}`,
    ],
    [
      "agent --config f",
      { files: { f: "\n\nresync-interval: 1ms" } },
      `f:3: "1ms" is not what is wanted: ${duration}`,
    ],
    [
      "agent --nodeport-addresses 10.0.0.0/8,10.0.0.0/99",
      {},
      '--nodeport-addresses: "10.0.0.0/99" is not what is wanted: address ranges like 10.0.0.0/8 or fd00::/8, or primary alone',
    ],
    [
      "agent --nodeport-addresses primary,10.0.0.0/8",
      {},
      '--nodeport-addresses: "primary" is not what is wanted: address ranges like 10.0.0.0/8 or fd00::/8, or primary alone',
    ],
    [
      "agent --ads-address 0.0.0.0:18000",
      {},
      '--ads-address: "0.0.0.0:18000" is not what is wanted: a loopback address with port like 127.0.0.1:18000, or nothing to disable it',
    ],
    ["agent --config f", { files: { f: "mode: [eager]" } }, 'f:1: "mode" takes one value, not a list'],
    ["agent --config f", { files: { f: "mode:" } }, 'f:1: "mode" wants a value, or a list of values'],
    ["agent --config f", { files: { f: "- a" } }, 'f:1: wanted "key: value" lines, with flags as keys'],
    ["agent --config f", { files: { f: "config: g" } }, "f:1: a file cannot name another"],
    ["agent --config f", {}, '--config: cannot read "f": no such file'],
  ];
  for (const [line, given, wanted] of cases) assertEquals(errorsOf(line, given), [wanted]);
});

Deno.test("a number in the file keeps its spelling, so that the same text means the same as in a flag", () => {
  assertEquals(
    configOf("agent --config f", { files: { f: "node-name: 007\ntcp-port: 70" } }).nodeName,
    "007",
  );
  assertEquals(configOf("agent --config f", { files: { f: "node-name: 007\ntcp-port: 70" } }).tcpPort, 70);
  assertEquals(errorsOf("agent --config f", { files: { f: "tcp-port: 0x50" } }), [
    'f:1: "0x50" is not what is wanted: a port from 1 to 65535',
  ]);
});

Deno.test("an unreadable file says where, and a key given twice is no riddle", () => {
  assertStringIncludes(
    errorsOf("agent --config f", { files: { f: "mode: eager\nmode: on-demand" } })[0] ?? "",
    "f:2: ",
  );
  assertStringIncludes(errorsOf("agent --config f", { files: { f: "a: {" } })[0] ?? "", "f:1: ");
});

Deno.test("all faults are told at once, overruled ones too", () => {
  const env = { LIGHTPATH_MODE: "fast" };
  assertEquals(errorsOf("agent --mode eager --http-port x", { env }).length, 2);
});

Deno.test("values that contradict each other", () => {
  assertEquals(errorsOf("agent --manifests a --kubeconfig b"), [
    "--manifests and --kubeconfig exclude each other: Services come either from manifests or from an API server",
  ]);
  assertEquals(errorsOf("agent --tcp-port 10256").length, 1);
  assertEquals(errorsOf("agent --ads-address 127.0.0.1:18000 --ads-socket /x").length, 1);
  assertEquals(configOf("agent --ads-address 127.0.0.1:18000").adsAddress?.port, 18000);
  assertEquals(errorsOf("webhook --webhook-bind-address ''"), [
    "--webhook-bind-address: the webhook has to listen somewhere",
  ]);
  assertEquals(configOf("adopt", { env: { LIGHTPATH_WEBHOOK_BIND_ADDRESS: "" } }).namespace, "");
  const [tooLong] = errorsOf(`agent --run-dir /${"x".repeat(100)}`);
  assertStringIncludes(tooLong ?? "", "has 110 bytes; a Unix socket's path has 1 to 107");
  assertEquals(
    configOf("agent --healthz-bind-address 127.0.0.1:0 --metrics-bind-address 127.0.0.1:0").tcpPort,
    1666,
  );
});

Deno.test("variables the kubelet makes for a Service called lightpath-… are not settings", () => {
  const env = {
    LIGHTPATH_SERVICE_HOST: "10.0.0.1",
    LIGHTPATH_SERVICE_PORT: "80",
    LIGHTPATH_METRICS_SERVICE_PORT_HTTP: "80",
    LIGHTPATH_PORT: "tcp://10.0.0.1:80",
    LIGHTPATH_PORT_80_TCP_ADDR: "10.0.0.1",
    // For a Service called lightpath-tcp: the name of a setting, but not meant as one.
    LIGHTPATH_TCP_PORT: "tcp://10.0.0.1:80",
  };
  assertEquals(configOf("agent", { env }).tcpPort, 1666);
});

Deno.test("settings of another command may stand in the shared file and environment, and are checked", () => {
  const files = { f: "output: x\nmode: eager" };
  assertEquals(configOf("cleanup --config f", { files }).nftBin, "nft");
  assertEquals(errorsOf("cleanup --config f", { files: { f: "mode: x" } }).length, 1);
});

Deno.test("--help of each command lists exactly its flags", () => {
  for (const command of Object.keys(COMMANDS)) {
    const help = parse(`${command} --mode --help`);
    if (help.kind !== "help") throw new Error(`${command} has no help`);
    const settings: readonly Setting<unknown>[] = Object.values(SETTINGS);
    for (const setting of settings) {
      const listed = new RegExp(`\n  --${setting.flag}[ \n]`).test(help.text);
      assertEquals(
        listed,
        (setting.commands as readonly string[]).includes(command),
        `${command} --${setting.flag}`,
      );
    }
    assertEquals(help.text.split("\n").filter((line) => line.length > 110), []);
  }
  for (const line of ["--help", "-h", "help"]) assertEquals(parse(line).kind, "help");
  assertEquals(parse("help agent").kind, "help");
  assertEquals(parse("").kind, "error");
  assertEquals(parse("--version"), parse("version"));
});

Deno.test("every setting can be given in each of its three spellings", () => {
  const samples: Readonly<Record<string, string>> = {
    "IP:PORT": "127.0.0.1:9",
    "CIDR,…": "10.0.0.0/8",
    "CIDR,…|primary": "10.0.0.0/8",
    "CIDR,…|auto": "10.0.0.0/8",
    "IP,…": "192.0.2.9",
    PORT: "9",
    N: "9",
    DURATION: "9s",
    BITS: "0x9",
    PATH: "/9",
    NAME: "nine",
    "NAMESPACE/SERVICE": "nine/nine",
    "NAMESPACE/NAME": "nine/nine",
    NAMESPACE: "nine",
    "NAMESPACE,…": "nine",
    "": "true",
  };
  for (const [field, setting] of Object.entries(SETTINGS) as [keyof Config, Setting<unknown>][]) {
    const { placeholder } = setting.kind;
    const sample = samples[placeholder] ?? placeholder.split("|").at(-1) ?? "";
    // A Service to explain is the one setting that must be given.
    const isRequired = setting.isOperand === true;
    const name = setting.commands[0] ?? "agent";
    const command = name === "explain" && !isRequired ? "explain default/echo" : name;
    const byFlag = configOf(`${command} --${setting.flag}=${sample}`)[field];
    assertEquals(configOf(command, { env: { [envName(setting.flag)]: sample } })[field], byFlag);
    assertEquals(
      configOf(`${command} --config f`, { files: { f: `${setting.flag}: "${sample}"` } })[field],
      byFlag,
    );
    if (sample !== setting.default && !isRequired) {
      assertEquals(byFlag === configOf(command)[field], false, setting.flag);
    }
  }
});
