/**
 * Decides which settings are in force for each port of a Service.
 *
 * In: the Service's annotations under `config.lightpath.cloud/`, its ports. Out: PortSettings for each port, and a fault for
 * each annotation that has no effect as written. Pure; nothing throws. An invalid value never breaks the Service: what
 * held without it holds.
 *
 * Invariants: a port's own annotation beats the Service's; ports without annotations share one object; the text of
 * PortSettings is equal exactly when the settings are.
 * @module
 */
import { closestString } from "@std/text/closest-string";
import { isHttp } from "../app_protocol.ts";
import type { AppProtocol, Carrier } from "../types.ts";
import {
  type AnnotationDefinition,
  ANNOTATIONS,
  SETTING_NAMES,
  type SettingName,
  type SettingValues,
} from "./definitions.ts";

/** What annotations of ports and Services begin with. */
export const CONFIG_PREFIX = "config.lightpath.cloud/";

/** The settings of one port. */
export interface PortSettings {
  /** All settings, defaults included. */
  readonly values: SettingValues;
  /** Settings that were given, with the annotation each comes from. */
  readonly origins: ReadonlyMap<SettingName, string>;
  /** Canonical text of what was given; equal settings have equal texts. Empty: all defaults. */
  readonly text: string;
}

/** A port, as far as settings go. */
export interface SettingsPort {
  /** Empty for the single unnamed port. */
  readonly name: string;
  readonly appProtocol: AppProtocol;
  /** What carries its connections; only Envoy has settings. @default "envoy" */
  readonly carrier?: Carrier;
  /** Whether its Service has `sessionAffinity: ClientIP`. @default false */
  readonly keepsClients?: boolean;
}

/** What is wrong with an annotation. */
export type AnnotationFaultKind =
  | "unknown-setting"
  /** A setting of a port that the Service does not have. */
  | "unknown-port"
  /** A setting that the ports it is given to cannot have. */
  | "wrong-protocol"
  | "invalid-value"
  /** Valid, but without effect beside the other settings. */
  | "contradiction"
  /** It has an effect, and might have been meant for another port. */
  | "ambiguous";

/** An annotation that has no effect, or not the one it asks for. */
export interface AnnotationFault {
  /** The annotation's whole key. */
  readonly annotation: string;
  readonly kind: AnnotationFaultKind;
  /** Begins with the value, ends with what holds instead. */
  readonly reason: string;
}

/** The settings of each port, in the order of the ports. */
export interface ServiceSettings {
  readonly settings: readonly PortSettings[];
  readonly faults: readonly AnnotationFault[];
}

const DEFAULT_VALUES = Object.fromEntries(
  SETTING_NAMES.map((name) => [name, ANNOTATIONS[name].default]),
) as unknown as SettingValues;

/** What holds where nothing is said. */
export const DEFAULT_SETTINGS: PortSettings = { values: DEFAULT_VALUES, origins: new Map(), text: "" };

/** A setting, and the ports that an annotation's key gives it to. */
interface Target {
  readonly name: SettingName;
  readonly ports: readonly SettingsPort[];
  readonly isOfPort: boolean;
}

/** What an annotation says, and of which ports. */
interface Given extends Target {
  readonly annotation: string;
  readonly value: unknown;
}

/** The settings of a Service's ports. Cost: its annotations times its ports. */
export function settingsOf(
  annotations: Readonly<Record<string, string>>,
  ports: readonly SettingsPort[],
): ServiceSettings {
  const faults: AnnotationFault[] = [];
  const given: Given[] = [];
  for (const annotation of Object.keys(annotations).sort()) {
    if (!annotation.startsWith(CONFIG_PREFIX)) continue;
    const key = annotation.slice(CONFIG_PREFIX.length);
    const [target, other] = targetsOf(key, ports);
    if (target === undefined) {
      faults.push({ annotation, ...unknownKey(key, ports) });
      continue;
    }
    const read = readValue(annotations[annotation] ?? "", target);
    if ("reason" in read) faults.push({ annotation, ...read });
    else given.push({ annotation, ...target, ...read });
    if (other !== undefined) faults.push({ annotation, ...ambiguity(target, other) });
  }
  if (given.length === 0) return { settings: ports.map(() => DEFAULT_SETTINGS), faults };
  // A port's own come last, and win.
  const ordered = [...given.filter(({ isOfPort }) => !isOfPort), ...given.filter(({ isOfPort }) => isOfPort)];
  const settings = ports.map((port) => combine(ordered.filter(({ ports }) => ports.includes(port))));
  for (const [index, port] of ports.entries()) faults.push(...contradictions(settings[index]!, port));
  return { settings, faults: dedupe(faults) };
}

/** Finds what an annotation gives to those it is for, of whom some may be such as cannot have it. */
function readValue(
  text: string,
  target: Target,
): Pick<Given, "value" | "ports"> | Omit<AnnotationFault, "annotation"> {
  const { kind: { parse, wanted }, appliesTo } = ANNOTATIONS[target.name] as AnnotationDefinition<unknown>;
  if (target.ports.length > 0 && target.ports.every(({ carrier }) => carrier === "kernel")) {
    const carried = target.isOfPort
      ? `port "${target.ports[0]?.name}" is carried`
      : "its TCP ports are carried";
    return {
      kind: "wrong-protocol",
      reason: `is for ports that Envoy carries, and ${carried} by the kernel; it has no effect.`,
    };
  }
  const able = target.ports.filter((port) => port.carrier !== "kernel" && applies(appliesTo, port));
  if (able.length === 0) {
    const speaks = target.isOfPort
      ? `port "${target.ports[0]?.name}" is TCP`
      : "the Service has no HTTP port";
    return { kind: "wrong-protocol", reason: `is for ${appliesTo} ports, and ${speaks}; it has no effect.` };
  }
  const value = parse(text.trim());
  if (value === undefined) {
    const reason = `${JSON.stringify(text.slice(0, 60))} is not ${wanted}; what held without it holds.`;
    return { kind: "invalid-value", reason };
  }
  return { value, ports: able };
}

/**
 * What a key can mean: a setting, or one with a port's name in front. More than one where a port's name ends in what a setting
 * begins with (`upstream`); then the first holds, which is the one with the longest setting, in whatever order the ports stand.
 */
function targetsOf(key: string, ports: readonly SettingsPort[]): readonly Target[] {
  const targets: Target[] = isSettingName(key) ? [{ name: key, ports, isOfPort: false }] : [];
  for (const portName of new Set(ports.map(({ name }) => name))) {
    const name = portName !== "" && key.startsWith(`${portName}-`) ? key.slice(portName.length + 1) : "";
    if (!isSettingName(name)) continue;
    targets.push({ name, ports: ports.filter((port) => port.name === portName), isOfPort: true });
  }
  return targets.toSorted((a, b) => b.name.length - a.name.length);
}

function ambiguity(target: Target, other: Target): Omit<AnnotationFault, "annotation"> {
  const [meant, not] = [target, other].map(({ name, ports, isOfPort }) =>
    `${name} of ${isOfPort ? `port "${ports[0]?.name}"` : "all ports"}`
  );
  const reason = `is read as ${meant}, not as ${not}; to say that, give the port another name.`;
  return { kind: "ambiguous", reason };
}

function isSettingName(text: string): text is SettingName {
  return Object.hasOwn(ANNOTATIONS, text);
}

function unknownKey(key: string, ports: readonly SettingsPort[]): Omit<AnnotationFault, "annotation"> {
  const ofNoPort = SETTING_NAMES.find((name) => key.endsWith(`-${name}`));
  const names = ports.map(({ name }) => name).filter((name) => name !== "");
  if (ofNoPort !== undefined) {
    const port = key.slice(0, -ofNoPort.length - 1);
    const known = names.length === 0 ? "its port has no name" : `its ports are ${names.join(", ")}`;
    const reason = `is of port "${port}", which the Service does not have (${known}); it has no effect.`;
    return { kind: "unknown-port", reason };
  }
  const all = [...SETTING_NAMES, ...names.flatMap((port) => SETTING_NAMES.map((name) => `${port}-${name}`))];
  const nearest = `${CONFIG_PREFIX}${closestString(key, all)}`;
  return { kind: "unknown-setting", reason: `is no setting; it has no effect. The nearest is ${nearest}.` };
}

function applies(
  appliesTo: AnnotationDefinition<unknown>["appliesTo"],
  { appProtocol }: SettingsPort,
): boolean {
  return appliesTo === "HTTP and TCP" || (appliesTo === "HTTP") === isHttp(appProtocol);
}

function combine(given: readonly Given[]): PortSettings {
  if (given.length === 0) return DEFAULT_SETTINGS;
  const values: Record<string, unknown> = { ...DEFAULT_VALUES };
  const origins = new Map<SettingName, string>();
  for (const { name, value, annotation } of given) {
    values[name] = value;
    origins.set(name, annotation);
  }
  const names = [...origins.keys()].sort();
  const text = names.map((name) => `${name}=${JSON.stringify(values[name])}`).join(" ");
  return { values: values as unknown as SettingValues, origins, text };
}

/** Of the words of `retry-on`, those that are statuses of gRPC calls. */
const GRPC_STATUSES: readonly string[] = [
  "cancelled",
  "deadline-exceeded",
  "internal",
  "resource-exhausted",
  "unavailable",
];

/** Settings that are valid one by one but not together. */
function contradictions(
  { values, origins }: PortSettings,
  { appProtocol, keepsClients }: SettingsPort,
): AnnotationFault[] {
  const faults: AnnotationFault[] = [];
  const fault = (name: SettingName, reason: string): void => {
    const annotation = origins.get(name);
    if (annotation !== undefined) faults.push({ annotation, kind: "contradiction", reason });
  };
  if (appProtocol === "redis") {
    fault("idle-timeout", "has no effect on a redis port: Envoy's redis proxy has none.");
    for (const name of ["lb-policy", "hash-on"] as const) {
      fault(name, "has no effect on a redis port, where the key decides.");
    }
    return faults;
  }
  const [whole, once] = [values["request-timeout"], values["upstream-request-timeout"]];
  if (origins.has("request-timeout") && whole !== 0 && once >= whole) {
    fault(
      "upstream-request-timeout",
      `is not shorter than request-timeout, which ends the request first; it has no effect.`,
    );
  }
  const policy = values["lb-policy"];
  if (keepsClients === true) {
    for (const name of ["lb-policy", "hash-on"] as const) {
      fault(
        name,
        "has no effect with sessionAffinity ClientIP, by which a client keeps its endpoint. Leave out one of both.",
      );
    }
  } else if (policy !== "MAGLEV" && policy !== "RING_HASH") {
    fault("hash-on", `has no effect with lb-policy ${policy}; use MAGLEV or RING_HASH.`);
  } else if (!isHttp(appProtocol) && values["hash-on"].kind !== "source-ip") {
    fault(
      "hash-on",
      `asks for a ${values["hash-on"].kind}, which a TCP port has not; it is balanced by source-ip.`,
    );
  }
  if (values["outlier-detection-max-ejection-time"] < values["outlier-detection-base-ejection-time"]) {
    const name = origins.has("outlier-detection-max-ejection-time")
      ? "outlier-detection-max-ejection-time"
      : "outlier-detection-base-ejection-time";
    fault(name, "makes the longest ejection shorter than the base; both are the base then.");
  }
  if (values["retriable-headers"].length > 0 && !values["retry-on"].includes("retriable-headers")) {
    fault("retriable-headers", "has no effect, because retry-on does not hold retriable-headers.");
  }
  const statuses = values["retry-on"].filter((word) => GRPC_STATUSES.includes(word)).join(", ");
  if (statuses !== "" && values["retry-methods"] !== "all") {
    const reason = "only gRPC calls end so, and they are repeated only with retry-methods: all.";
    fault("retry-on", `holds ${statuses}, without effect: ${reason}`);
  }
  return faults;
}

/** Ports that share an annotation share its fault. */
function dedupe(faults: readonly AnnotationFault[]): readonly AnnotationFault[] {
  return [...new Map(faults.map((fault) => [`${fault.annotation} ${fault.reason}`, fault])).values()];
}
