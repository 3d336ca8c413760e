import { assertEquals } from "@std/assert/equals";
import { IPVSAddressesError, refuseIPVSAddresses } from "./ipvs.ts";

function refusal(...interfaces: readonly (readonly [name: string, address: string])[]): string {
  try {
    refuseIPVSAddresses({ interfaces: interfaces.map(([name, address]) => ({ name, address })) });
    return "";
  } catch (error) {
    if (error instanceof IPVSAddressesError) return error.message;
    throw error;
  }
}

Deno.test("refuseIPVSAddresses() refuses addresses of Services at kube-ipvs0, and says how to remove them", () => {
  assertEquals(refusal(["eth0", "192.0.2.1"], ["kube-ipvs0", "fe80::1"]), "");
  assertEquals(
    refusal(["eth0", "192.0.2.1"], ["kube-ipvs0", "10.96.0.1"], ["kube-ipvs0", "10.96.0.10"]),
    "kube-proxy's mode ipvs has made Services' addresses (10.96.0.1 and 1 more) addresses of this node, at the interface " +
      'kube-ipvs0: end that kube-proxy, or give it another mode, and remove them with "kube-proxy --cleanup" or ' +
      '"ip link delete kube-ipvs0"',
  );
});
