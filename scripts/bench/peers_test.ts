import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { PEER_NAMES } from "./peer_programs.ts";
import { parsePeersOptions } from "./peers.ts";
import { RESULTS_FOLDER } from "./results.ts";

Deno.test("parsePeersOptions() compares all unless told otherwise, always in the same order", () => {
  assertEquals(parsePeersOptions(["--services", "10000"]), {
    services: 10_000,
    repetitions: 1,
    only: PEER_NAMES,
    quick: false,
    results: RESULTS_FOLDER,
    json: false,
  });
  const two = ["--services=5", "--only=kube-proxy nftables", "--only=lightpath"];
  assertEquals(parsePeersOptions(two).only, ["lightpath", "kube-proxy nftables"]);
  assertThrows(
    () => parsePeersOptions(["--services=5", "--only=cilium"]),
    TypeError,
    '--only is "cilium": wanted one of lightpath, kube-proxy nftables, kube-proxy iptables',
  );
  assertThrows(() => parsePeersOptions([]), TypeError, "--services is missing");
});
