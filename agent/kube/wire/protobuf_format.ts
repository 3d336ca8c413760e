/**
 * The API's protobuf: half the bytes of JSON, and read without making anything of what is not wanted.
 * @module
 */
import { type AnswerFormat, type ApiStatus } from "./format.ts";
import { enterEnvelope } from "./protobuf_envelope.ts";
import { ProtobufListDecoder } from "./protobuf_list.ts";
import { ProtobufReader } from "./protobuf_reader.ts";
import { readStatus } from "./protobuf_status.ts";
import { ProtobufWatchDecoder } from "./protobuf_watch.ts";

/** `application/vnd.kubernetes.protobuf`, and with `;stream=watch` */
export const PROTOBUF_FORMAT: AnswerFormat = {
  listDecoder: (kind) => new ProtobufListDecoder(kind),
  watchDecoder: (kind) => new ProtobufWatchDecoder(kind),
  readStatus: (body): ApiStatus => {
    const wire = new ProtobufReader();
    wire.open(body, 0, body.length);
    try {
      enterEnvelope(wire);
      return readStatus(wire);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      const message = `a Status that cannot be read: ${error.message}`;
      return { code: 0, reason: "", message, retryAfterMs: 0 };
    }
  },
};
