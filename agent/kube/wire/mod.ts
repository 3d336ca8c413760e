/**
 * The formats in which an API server answers: which we ask for, and which an answer is in.
 *
 * As kube-proxy does, we ask for protobuf and take JSON too; the answer's own header decides how it is read, never what
 * was asked for.
 * @module
 */
import type { AnswerFormat } from "./format.ts";
import { JSON_FORMAT } from "./json_format.ts";
import { PROTOBUF_FORMAT } from "./protobuf_format.ts";

export { NodeWatchDecoder, readNodeList } from "./node_answers.ts";
export { readServiceCIDRs } from "./service_cidr_list.ts";
export type { AnswerFormat, ApiStatus, ListPart } from "./format.ts";

const PROTOBUF = "application/vnd.kubernetes.protobuf";

/** The header `Accept` of lists and watches; a watch's stream media type follows from it. */
export const ACCEPT: string = `${PROTOBUF}, application/json`;

/** The same for what is small or rarely asked for. */
export const ACCEPT_JSON = "application/json";

/** The format of an answer with this `Content-Type`. JSON where it says something else: its parser will say what. */
export function formatOf(contentType: string): AnswerFormat {
  const [mediaType = ""] = contentType.split(";");
  return mediaType.trim().toLowerCase() === PROTOBUF ? PROTOBUF_FORMAT : JSON_FORMAT;
}
