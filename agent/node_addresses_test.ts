import { assertEquals } from "@std/assert/equals";
import { createLogger, silentLogger } from "./log.ts";
import { IP_FAMILIES, type NodeAddresses } from "./model/mod.ts";
import {
  availableFamilies,
  type NetworkInterface,
  selectNodeAddresses,
  watchNodeAddresses,
} from "./node_addresses.ts";

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

Deno.test("all addresses but loopback and link-local ones, canonical, once, in the order of the interfaces", () => {
  assertEquals(selectNodeAddresses(INTERFACES, { cidrs: [], families: IP_FAMILIES }), {
    IPv4: ["192.168.1.10", "10.0.0.5", "10.244.0.1"],
    IPv6: ["2001:db8::10"],
  });
});

Deno.test("ranges restrict the families they belong to, families what is served at all", () => {
  assertEquals(
    selectNodeAddresses(INTERFACES, { cidrs: ["10.0.0.0/24", "127.0.0.0/8"], families: IP_FAMILIES }),
    {
      IPv4: ["10.0.0.5"],
      IPv6: ["2001:db8::10"],
    },
  );
  assertEquals(selectNodeAddresses(INTERFACES, { cidrs: ["fd00::/8"], families: IP_FAMILIES }).IPv6, []);
  assertEquals(selectNodeAddresses(INTERFACES, { cidrs: [], families: ["IPv6"] }).IPv4, []);
});

Deno.test("a family the machine has not is not available", () => {
  assertEquals(availableFamilies(INTERFACES), ["IPv4", "IPv6"]);
  assertEquals(availableFamilies([{ name: "lo", address: "127.0.0.1" }]), ["IPv4"]);
});

Deno.test("the first state is told at once, then only changes, and a failed look keeps the last", async () => {
  const states: (readonly NetworkInterface[] | Error)[] = [
    INTERFACES,
    INTERFACES,
    new Error("no netlink"),
    INTERFACES,
    INTERFACES.slice(0, 5),
  ];
  const told: NodeAddresses[] = [];
  const lines: string[] = [];
  const stop = new AbortController();
  let index = 0;
  const watching = watchNodeAddresses({
    cidrs: [],
    families: ["IPv4"],
    intervalMs: 0,
    logger: createLogger({ level: "warn", format: "json", write: (line) => lines.push(line) }),
    list: () => {
      const state = states[index++] ?? [];
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

Deno.test("this machine's interfaces can be read", async () => {
  const stop = new AbortController();
  let told: NodeAddresses | undefined;
  const options = { cidrs: [], families: IP_FAMILIES, logger: silentLogger };
  const watching = watchNodeAddresses({ ...options, onChange: (addresses) => told = addresses }, stop.signal);
  stop.abort();
  await watching;
  assertEquals(told, selectNodeAddresses(Deno.networkInterfaces(), options));
});
