import { assertEquals } from "@std/assert/equals";
import { servicePort } from "../agent/model/testing/service_ports.ts";
import {
  clusterName,
  loadAssignmentName,
  parseClusterName,
  parseLoadAssignmentName,
  statisticsName,
} from "./names.ts";

Deno.test("clusterName() and parseClusterName() agree with what Envoy prints", () => {
  assertEquals(clusterName("10.96.0.10", 80), "10.96.0.10:80");
  assertEquals(clusterName("fd00::1", 80), "[fd00::1]:80");
  assertEquals(parseClusterName("10.96.0.10:80"), { address: "10.96.0.10", family: "IPv4", port: 80 });
  assertEquals(parseClusterName("[fd00::1]:80"), { address: "fd00::1", family: "IPv6", port: 80 });
});

Deno.test("parseClusterName() refuses what is not the canonical name of a destination", () => {
  const refused = [
    "",
    "none",
    "*",
    "10.96.0.10",
    "10.96.0.10:",
    "10.96.0.10:080",
    "10.96.0.10:x",
    "fd00::1:80",
    "[fd00:0::1]:80",
    "[10.96.0.10]:80",
  ];
  for (const name of refused) assertEquals(parseClusterName(name), undefined, name);
});

Deno.test("parseLoadAssignmentName() reads what loadAssignmentName() writes", () => {
  for (const port of ["http", ""]) {
    const named = servicePort({ port });
    for (const policy of ["Cluster", "Local"] as const) {
      const name = loadAssignmentName(named, "IPv6", policy);
      assertEquals(parseLoadAssignmentName(name), { key: named.key, family: "IPv6", policy });
    }
  }
  assertEquals(
    loadAssignmentName(servicePort({ port: "http" }), "IPv4", "Local"),
    "default/echo:http/IPv4/local",
  );
  assertEquals(loadAssignmentName(servicePort({ port: "" }), "IPv4"), "default/echo/IPv4");
  assertEquals(parseLoadAssignmentName("default/echo:http"), undefined);
});

Deno.test("statisticsName() is the port's name as it stands in Envoy's statistics", () => {
  assertEquals(statisticsName(servicePort({ port: "http" })), "default/echo_http");
  assertEquals(statisticsName(servicePort({ port: "" })), "default/echo");
});
