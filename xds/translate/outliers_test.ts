import { assertEquals } from "@std/assert/equals";
import { settingsOf } from "../../agent/model/annotations/mod.ts";
import { type AppProtocol, CONFIG_PREFIX, DEFAULT_SETTINGS } from "../../agent/model/mod.ts";
import { OutlierDetection } from "../../protos/mod.ts";
import { outlierDetection } from "./outliers.ts";

/** The outlier detection of a port with these annotations, as JSON. */
function detection(
  annotations: Readonly<Record<string, string>>,
  appProtocol: AppProtocol = "http",
): Record<string, unknown> | undefined {
  const written = Object.fromEntries(
    Object.entries(annotations).map(([name, text]) => [`${CONFIG_PREFIX}outlier-detection-${name}`, text]),
  );
  const { settings: [settings = DEFAULT_SETTINGS] } = settingsOf(written, [{ name: "web", appProtocol }]);
  const message = outlierDetection({ appProtocol, settings });
  return message && OutlierDetection.toJSON(message) as Record<string, unknown>;
}

const DEFAULTS = {
  consecutive5xx: 5,
  enforcingConsecutive5xx: 100,
  consecutiveGatewayFailure: 5,
  enforcingConsecutiveGatewayFailure: 100,
  enforcingSuccessRate: 0,
  enforcingFailurePercentage: 0,
  interval: "10s",
  baseEjectionTime: "30s",
  maxEjectionTime: "300s",
  maxEjectionPercent: 10,
  alwaysEjectOneHost: true,
};

Deno.test("outlierDetection() of HTTP and HTTP/2 ports ejects after five failures, one endpoint always", () => {
  assertEquals(detection({}), DEFAULTS);
  assertEquals(detection({}, "http2"), DEFAULTS);
});

Deno.test("outlierDetection() carries what was set", () => {
  const set = {
    "interval": "500ms",
    "base-ejection-time": "1m",
    "max-ejection-time": "2m",
    "max-ejection-percent": "50",
    "consecutive-5xx": "3",
    "consecutive-gateway-failure": "1",
  };
  assertEquals(detection(set), {
    ...DEFAULTS,
    interval: "0.500s",
    baseEjectionTime: "60s",
    maxEjectionTime: "120s",
    maxEjectionPercent: 50,
    consecutive5xx: 3,
    consecutiveGatewayFailure: 1,
  });
});

Deno.test("outlierDetection(): 0 switches a reason off, and 0 percent all of it", () => {
  assertEquals(detection({ "consecutive-5xx": "0" }), {
    ...DEFAULTS,
    consecutive5xx: 0,
    enforcingConsecutive5xx: 0,
  });
  assertEquals(detection({ "consecutive-gateway-failure": "0" }), {
    ...DEFAULTS,
    consecutiveGatewayFailure: 0,
    enforcingConsecutiveGatewayFailure: 0,
  });
  assertEquals(detection({ "max-ejection-percent": "0" }), undefined);
});

Deno.test("outlierDetection() never has a longest time below the base, which Envoy would refuse", () => {
  const times = (set: Readonly<Record<string, string>>): unknown[] => {
    const { baseEjectionTime, maxEjectionTime } = detection(set) ?? {};
    return [baseEjectionTime, maxEjectionTime];
  };
  assertEquals(times({ "max-ejection-time": "1s" }), ["30s", "30s"]);
  assertEquals(times({ "base-ejection-time": "10m" }), ["600s", "600s"]);
});

Deno.test("outlierDetection() of a TCP port counts failures to connect, and nothing else", () => {
  assertEquals(detection({}, "tcp"), {
    splitExternalLocalOriginErrors: true,
    consecutiveLocalOriginFailure: 1,
    enforcingConsecutive5xx: 0,
    enforcingSuccessRate: 0,
    enforcingLocalOriginSuccessRate: 0,
    interval: "1s",
    baseEjectionTime: "2s",
    maxEjectionTime: "10s",
    maxEjectionPercent: 100,
  });
});
