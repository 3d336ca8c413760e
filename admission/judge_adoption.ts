/**
 * Decides which Services become Lightpath's where it runs beside kube-proxy: webhook, policy and `lightpath adopt` agree on it.
 *
 * In: a Service as the API has it, or as it is about to be created; which namespaces are left alone.
 * Out: a {@linkcode Verdict}. Pure.
 *
 * A Service that gets the label is kube-proxy's no more, so it must be one that the agents serve then. They serve TCP through
 * Envoy and UDP and SCTP in the kernel (`agent/model/carrier.ts`), which are all protocols the API has; what has no VIP they do
 * not serve (`agent/model/selection.ts`): ExternalName and headless Services, which nobody has to proxy. A ClusterIP that is not
 * there yet does not count: at its creation no Service has one.
 *
 * `default/kubernetes` is always left alone, although it has a VIP and ports: the agents read what they serve through it, and an
 * agent that is the only way to its own API server could not start again. With kube-proxy beside it need not be that.
 * @module
 */
import {
  type Fields,
  isFields,
  parseKubeObject,
  type Service,
  SERVICE_PROXY_NAME_LABEL,
} from "../agent/kube/mod.ts";
import {
  isPortNumber,
  optsOut,
  parseProtocol,
  PROXY_ANNOTATION,
  PROXY_DISABLED,
  whyNoVIP,
} from "../agent/model/mod.ts";

/** What Services are labelled with unless `--service-proxy-name` says otherwise. */
export const DEFAULT_PROXY_NAME = "lightpath.cloud";

/** What webhook and `adopt` are told by flags. */
export interface AdoptionRules {
  /** Value of the label. */
  readonly proxyName: string;
  readonly excludedNamespaces: readonly string[];
}

/** A Service, and what of its labels the model does not keep. */
export interface CandidateService extends Service {
  /** Whether the label is there, be it empty. */
  readonly labelled: boolean;
  /** Whether there are labels at all. */
  readonly hasLabels: boolean;
}

/** Why a Service is left as it is. */
export type LeftBecause =
  /** It has the label, with our value. */
  | "ours"
  /** It has the label, with another value. */
  | "foreign"
  /** It has the annotation `lightpath.cloud/proxy: disabled`. */
  | "opted-out"
  /** Its namespace is excluded, or it is the API server's own. */
  | "excluded"
  /** There is no port, or nowhere to answer for it. */
  | "nothing-to-serve";

/** What is to become of a Service. `because` is the end of a sentence that begins with "it". */
export type Verdict =
  | { readonly kind: "label"; readonly because: string }
  | { readonly kind: "leave"; readonly left: LeftBecause; readonly because: string };

/** Judges one Service. The first reason to leave it is given. */
export function judgeAdoption(service: CandidateService, rules: AdoptionRules): Verdict {
  const { namespace, name, proxyName, labelled, ports } = service;
  const leave = (left: LeftBecause, because: string): Verdict => ({ kind: "leave", left, because });
  if (labelled) {
    return proxyName === rules.proxyName
      ? leave("ours", `has the label ${SERVICE_PROXY_NAME_LABEL}: ${proxyName} already`)
      : leave(
        "foreign",
        `is another proxy's by its label ${SERVICE_PROXY_NAME_LABEL}: ${proxyName === "" ? '""' : proxyName}`,
      );
  }
  if (optsOut(service)) {
    return leave("opted-out", `opts out by its annotation ${PROXY_ANNOTATION}: ${PROXY_DISABLED}`);
  }
  if (rules.excludedNamespaces.includes(namespace)) {
    return leave("excluded", `is in the namespace ${namespace}, which is excluded (--exclude-namespaces)`);
  }
  if (namespace === "default" && name === "kubernetes") {
    return leave("excluded", "is the API server's own, which the agents themselves may need to reach it");
  }
  const nowhere = whyNoVIP(service);
  if (nowhere !== undefined) return leave("nothing-to-serve", nowhere);
  const served = ports.filter(({ protocol, port }) =>
    parseProtocol(protocol) !== undefined && isPortNumber(port)
  );
  if (served.length === 0) return leave("nothing-to-serve", "has no port that Lightpath serves");
  return {
    kind: "label",
    because: `has ${served.map(({ protocol, port }) => `${port}/${protocol}`).join(", ")}`,
  };
}

/** What cannot be read as a Service, and why. */
export interface Unreadable {
  readonly unreadable: string;
}

/**
 * Reads a Service that may not have its name yet (`generateName`), nor its namespace.
 *
 * @param raw Decoded JSON.
 * @param namespace The one it will be in, where it does not say itself.
 */
export function readCandidate(raw: unknown, namespace?: string): CandidateService | Unreadable {
  if (!isFields(raw)) return { unreadable: "not an object with apiVersion, kind and metadata" };
  const metadata = isFields(raw["metadata"]) ? raw["metadata"] : {};
  const named: Fields = {
    ...metadata,
    ...(typeof metadata["name"] === "string" && metadata["name"] !== ""
      ? {}
      : { name: `${typeof metadata["generateName"] === "string" ? metadata["generateName"] : ""}*` }),
    ...(namespace === undefined || namespace === "" ? {} : { namespace }),
  };
  const result = parseKubeObject({ ...raw, metadata: named }, "Service");
  if ("ignored" in result) return { unreadable: result.ignored };
  if ("invalid" in result) return { unreadable: result.invalid };
  const { object } = result;
  if (object.kind !== "Service") return { unreadable: `kind ${object.kind} is not read` };
  const labels = metadata["labels"];
  const hasLabels = isFields(labels);
  return { ...object, hasLabels, labelled: hasLabels && Object.hasOwn(labels, SERVICE_PROXY_NAME_LABEL) };
}
