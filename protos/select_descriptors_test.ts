import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  type FieldDescriptorProtoSchema,
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
} from "@bufbuild/protobuf/wkt";
import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { selectDescriptors } from "./select_descriptors.ts";

type FieldInit = MessageInitShape<typeof FieldDescriptorProtoSchema>;

function field(name: string, number: number, typeName: string, more: FieldInit = {}): FieldInit {
  const type = FieldDescriptorProto_Type.MESSAGE;
  return { name, number, typeName, type, label: FieldDescriptorProto_Label.OPTIONAL, ...more };
}

/** `a.Root` contains `b.Outer.Inner`; everything else is there to be left out. */
function files(): FileDescriptorProto[] {
  const a = create(FileDescriptorProtoSchema, {
    name: "a.proto",
    package: "a",
    syntax: "proto3",
    dependency: ["validate.proto", "b.proto"],
    messageType: [
      {
        name: "Root",
        oneofDecl: [{ name: "choice" }],
        field: [field("only_choice", 3, ".b.Outer.Inner", { oneofIndex: 0 }), field("again", 4, ".a.Root")],
      },
      { name: "Unreached", field: [field("other", 1, ".b.Other")] },
    ],
    service: [{ name: "Service" }],
  });
  const b = create(FileDescriptorProtoSchema, {
    name: "b.proto",
    package: "b",
    syntax: "proto3",
    messageType: [
      {
        name: "Outer",
        field: [field("other", 1, ".b.Other")],
        nestedType: [{ name: "Inner" }, { name: "Sibling" }],
      },
      { name: "Other" },
    ],
  });
  const validate = create(FileDescriptorProtoSchema, {
    name: "validate.proto",
    messageType: [{ name: "Rules" }],
  });
  return [a, b, validate];
}

Deno.test("keeps the roots and what they contain, in files that follow their imports", () => {
  const selected = selectDescriptors(files(), ["a.Root"]);
  assertEquals(selected.map((file) => file.name), ["b.proto", "a.proto"]);
  const [b, a] = selected;
  assertEquals(a?.dependency, ["b.proto"]);
  assertEquals(a?.service, []);
  assertEquals(a?.messageType.map((message) => message.name), ["Root"]);
  assertEquals(b?.messageType.map((message) => message.name), ["Outer"]);
});

Deno.test("a message kept only for a nested one has no fields", () => {
  const outer = selectDescriptors(files(), ["a.Root"])[0]?.messageType[0];
  assertEquals(outer?.field, []);
  assertEquals(outer?.nestedType.map((message) => message.name), ["Inner"]);
});

Deno.test("fields keep number and oneof through the wire, index 0 too, and gain protoc's JSON name", () => {
  const a = selectDescriptors(files(), ["a.Root"])[1];
  if (a === undefined) throw new Error("a.proto is missing");
  const [choice, again] = fromBinary(FileDescriptorProtoSchema, toBinary(FileDescriptorProtoSchema, a))
    .messageType[0]?.field ?? [];
  assertEquals([choice?.number, choice?.jsonName], [3, "onlyChoice"]);
  assertEquals(choice !== undefined && Object.hasOwn(choice, "oneofIndex"), true);
  assertEquals(again !== undefined && Object.hasOwn(again, "oneofIndex"), false);
});

Deno.test("does not depend on the order of files", () => {
  assertEquals(selectDescriptors(files().reverse(), ["a.Root"]), selectDescriptors(files(), ["a.Root"]));
});

Deno.test("a root or a field of unknown type is an error that names it", () => {
  assertThrows(() => selectDescriptors(files(), ["a.Rot"]), Error, "no descriptor defines .a.Rot");
  assertThrows(() => selectDescriptors(files().slice(0, 1), ["a.Root"]), Error, ".b.Outer.Inner");
});
