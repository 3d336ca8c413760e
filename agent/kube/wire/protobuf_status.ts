/**
 * Reads a Status object from protobuf: the body of a refusal, or what an ERROR event of a watch says.
 *
 * Source: `generated.proto` of k8s.io/apimachinery/pkg/apis/meta/v1.
 * @module
 */
import type { ApiStatus } from "./format.ts";
import { bytesTag, numberTag, type ProtobufReader } from "./protobuf_reader.ts";

const STATUS = { message: bytesTag(3), reason: bytesTag(4), details: bytesTag(5), code: numberTag(6) };
const STATUS_DETAILS = { retryAfterSeconds: numberTag(5) };

/** Reads the message at hand. @throws {SyntaxError} when it is not protobuf */
export function readStatus(wire: ProtobufReader): ApiStatus {
  let code = 0;
  let reason = "";
  let message = "";
  let retryAfterMs = 0;
  while (wire.more()) {
    switch (wire.tag()) {
      case STATUS.message:
        message = wire.text();
        break;
      case STATUS.reason:
        reason = wire.text();
        break;
      case STATUS.details:
        retryAfterMs = readRetryAfterMs(wire);
        break;
      case STATUS.code:
        code = wire.int32();
        break;
      default:
        wire.skip();
    }
  }
  return { code, reason, message, retryAfterMs };
}

function readRetryAfterMs(wire: ProtobufReader): number {
  let seconds = 0;
  const outer = wire.enter();
  while (wire.more()) {
    if (wire.tag() === STATUS_DETAILS.retryAfterSeconds) seconds = wire.int32();
    else wire.skip();
  }
  wire.leave(outer);
  return seconds * 1000;
}
