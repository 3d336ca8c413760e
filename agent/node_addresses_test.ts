import { assertEquals } from "@std/assert/equals";
import { createLogger, silentLogger } from "./log.ts";
import { IP_FAMILIES, type NodeAddresses } from "./model/mod.ts";
import {
  availableFamilies,
  type NodeAddressSelection,
  selectNodeAddresses,
  watchNodeAddresses,
} from "./node_addresses.ts";
import { type NetworkInterface, type NodeNetwork, readNodeNetwork } from "./node_network.ts";

const INTERFACES: readonly NetworkInterface[] = [
  { name: "lo", address: "127.0.0.1" },
  { name: "lo", address: "::1" },
  { name: "eth0", address: "192.168.1.10" },
  { name: "eth0", address: "2001:DB8:0:0::10" },
  { name: "eth0", address: "fe80::1" },
  { name: "eth1", address: "10.0.0.5" },
  { name: "veth1", address: "10.244.0.1" },
  { name: "veth2", address: "10.244.0.1" },
  { name: "nodelocaldns", address: "169.254.20.10" },
  { name: "kube-ipvs0", address: "10.96.0.1" },
];

const NETWORK: NodeNetwork = { interfaces: INTERFACES, defaultInterfaces: { IPv4: "eth1", IPv6: "eth0" } };
const ALL: NodeAddressSelection = { ranges: [], nodeIPs: [], families: IP_FAMILIES };
const PRIMARY: NodeAddressSelection = { ...ALL, ranges: "primary" };

Deno.test("all addresses but loopback and link-local ones, canonical, once, in the order of the interfaces", () => {
  assertEquals(selectNodeAddresses(NETWORK, ALL), {
    IPv4: ["192.168.1.10", "10.0.0.5", "10.244.0.1"],
    IPv6: ["2001:db8::10"],
  });
});

Deno.test("ranges restrict the families they belong to, families what is served at all", () => {
  assertEquals(selectNodeAddresses(NETWORK, { ...ALL, ranges: ["10.0.0.0/24", "127.0.0.0/8"] }), {
    IPv4: ["10.0.0.5"],
    IPv6: ["2001:db8::10"],
  });
  assertEquals(selectNodeAddresses(NETWORK, { ...ALL, ranges: ["fd00::/8"] }).IPv6, []);
  assertEquals(selectNodeAddresses(NETWORK, { ...ALL, families: ["IPv6"] }).IPv4, []);
  assertEquals(selectNodeAddresses(NETWORK, { ...PRIMARY, families: ["IPv6"] }).IPv4, []);
});

Deno.test("the primary address is the first on the interface of the default route", () => {
  assertEquals(selectNodeAddresses(NETWORK, PRIMARY), { IPv4: ["10.0.0.5"], IPv6: ["2001:db8::10"] });
  const second = { ...NETWORK, interfaces: [...INTERFACES, { name: "eth1", address: "10.0.0.6" }] };
  assertEquals(selectNodeAddresses(second, PRIMARY).IPv4, ["10.0.0.5"]);
});

Deno.test("the primary address is what --node-ip says, if this node has it; of the other family it is found", () => {
  const told = (nodeIPs: readonly string[]): NodeAddresses =>
    selectNodeAddresses(NETWORK, { ...PRIMARY, nodeIPs });
  assertEquals(told(["192.168.1.10"]), { IPv4: ["192.168.1.10"], IPv6: ["2001:db8::10"] });
  assertEquals(told(["203.0.113.1"]).IPv4, []);
});

Deno.test("a family of which the primary address cannot be found has all of its own", () => {
  const routeless = { ...NETWORK, defaultInterfaces: {} };
  assertEquals(selectNodeAddresses(routeless, PRIMARY), selectNodeAddresses(NETWORK, ALL));
  const unnumbered = { ...NETWORK, defaultInterfaces: { IPv4: "lo" } };
  assertEquals(selectNodeAddresses(unnumbered, PRIMARY), selectNodeAddresses(NETWORK, ALL));
});

Deno.test("a family the machine has not is not available", () => {
  assertEquals(availableFamilies(INTERFACES), ["IPv4", "IPv6"]);
  assertEquals(availableFamilies([{ name: "lo", address: "127.0.0.1" }]), ["IPv4"]);
});

Deno.test("the first state is told at once, then only changes, and a failed look keeps the last", async () => {
  const states: (NodeNetwork | Error)[] = [
    NETWORK,
    NETWORK,
    new Error("no netlink"),
    NETWORK,
    { ...NETWORK, interfaces: INTERFACES.slice(0, 5) },
  ];
  const told: NodeAddresses[] = [];
  const lines: string[] = [];
  const stop = new AbortController();
  let index = 0;
  const watching = watchNodeAddresses({
    ...ALL,
    families: ["IPv4"],
    intervalMs: 0,
    logger: createLogger({ level: "warn", format: "json", write: (line) => lines.push(line) }),
    read: () => {
      const state = states[index++] ?? NETWORK;
      if (index === states.length) stop.abort();
      if (state instanceof Error) throw state;
      return state;
    },
    onChange: (addresses) => told.push(addresses),
  }, stop.signal);
  assertEquals(told.length, 1);
  await watching;
  assertEquals(told.map((addresses) => addresses.IPv4.length), [3, 1]);
  assertEquals(lines.length, 1);
});

Deno.test("this machine's network can be read", async () => {
  const stop = new AbortController();
  let told: NodeAddresses | undefined;
  const options = { ...PRIMARY, logger: silentLogger };
  const watching = watchNodeAddresses({ ...options, onChange: (addresses) => told = addresses }, stop.signal);
  stop.abort();
  await watching;
  assertEquals(told, selectNodeAddresses(readNodeNetwork(), options));
});
