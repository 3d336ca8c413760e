/**
 * Decides which parts of Envoy's API are generated: the root messages and every message and enum they can contain.
 *
 * In: all file descriptors, and the full names of the roots. Out: trimmed file descriptors, each after those it
 * imports, ready for a code generator.
 * Left out: messages that no root reaches, services, extensions, comments, and custom options (with them the imports
 * of validation rules and annotations, which concern compilers, not the wire). Field numbers and types are untouched.
 * Invariant: the result depends on the descriptors and the set of roots only, not on any order.
 * @module
 */

import { create } from "@bufbuild/protobuf";
import {
  type DescriptorProto,
  DescriptorProtoSchema,
  type EnumDescriptorProto,
  type FieldDescriptorProto,
  FieldDescriptorProtoSchema,
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
} from "@bufbuild/protobuf/wkt";

/** A message or enum by its full name, as descriptors refer to it: `.package.Outer.Inner`. */
type TypeName = string;

interface Definition {
  readonly file: string;
  /** The messages and enums its fields refer to; empty for an enum. */
  readonly refersTo: readonly TypeName[];
}

/**
 * Selects what `roots` need.
 * @param roots full message names without a leading dot, as in `envoy.config.cluster.v3.Cluster`
 * @throws {Error} when a root, or a type one refers to, is not among `files`
 */
export function selectDescriptors(
  files: readonly FileDescriptorProto[],
  roots: readonly string[],
): FileDescriptorProto[] {
  const definitions = indexDefinitions(files);
  const reached = reach(definitions, roots.map((root) => `.${root}`));
  const kept = files
    .map((file) => trimFile(file, reached, definitions))
    .filter((file) => file.messageType.length + file.enumType.length > 0);
  return importsFirst(kept);
}

function indexDefinitions(files: readonly FileDescriptorProto[]): Map<TypeName, Definition> {
  const definitions = new Map<TypeName, Definition>();
  for (const file of files) {
    const add = (
      scope: TypeName,
      messages: readonly DescriptorProto[],
      enums: readonly EnumDescriptorProto[],
    ): void => {
      for (const { name } of enums) definitions.set(`${scope}.${name}`, { file: file.name, refersTo: [] });
      for (const message of messages) {
        const name = `${scope}.${message.name}`;
        definitions.set(name, { file: file.name, refersTo: fieldTypes(message) });
        add(name, message.nestedType, message.enumType);
      }
    };
    add(scopeOf(file), file.messageType, file.enumType);
  }
  return definitions;
}

function reach(definitions: ReadonlyMap<TypeName, Definition>, roots: readonly TypeName[]): Set<TypeName> {
  const reached = new Set<TypeName>();
  const pending = [...roots];
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    if (reached.has(name)) continue;
    const definition = definitions.get(name);
    if (definition === undefined) throw new Error(`no descriptor defines ${name}`);
    reached.add(name);
    pending.push(...definition.refersTo);
  }
  return reached;
}

function trimFile(
  file: FileDescriptorProto,
  reached: ReadonlySet<TypeName>,
  definitions: ReadonlyMap<TypeName, Definition>,
): FileDescriptorProto {
  const messageType = trimMessages(scopeOf(file), file.messageType, reached);
  const imports = new Set<string>();
  const addImports = (messages: readonly DescriptorProto[]): void => {
    for (const message of messages) {
      for (const type of fieldTypes(message)) imports.add(definitions.get(type)?.file ?? "");
      addImports(message.nestedType);
    }
  };
  addImports(messageType);
  imports.delete(file.name);
  return create(FileDescriptorProtoSchema, {
    name: file.name,
    package: file.package,
    syntax: file.syntax,
    dependency: [...imports].sort(),
    messageType,
    enumType: trimEnums(scopeOf(file), file.enumType, reached),
  });
}

function trimMessages(
  scope: TypeName,
  messages: readonly DescriptorProto[],
  reached: ReadonlySet<TypeName>,
): DescriptorProto[] {
  return messages.flatMap((message) => {
    const name = `${scope}.${message.name}`;
    const nestedType = trimMessages(name, message.nestedType, reached);
    const enumType = trimEnums(name, message.enumType, reached);
    if (reached.has(name)) {
      const field = message.field.map(completeField);
      return [create(DescriptorProtoSchema, { ...message, field, nestedType, enumType, extension: [] })];
    }
    // Not reached itself, yet the scope that names a nested type: stays as an empty shell.
    if (nestedType.length + enumType.length > 0) {
      return [create(DescriptorProtoSchema, { name: message.name, nestedType, enumType })];
    }
    return [];
  });
}

function trimEnums(
  scope: TypeName,
  enums: readonly EnumDescriptorProto[],
  reached: ReadonlySet<TypeName>,
): EnumDescriptorProto[] {
  return enums.filter(({ name }) => reached.has(`${scope}.${name}`));
}

/** Fills in `json_name` as protoc does for its plugins; descriptors compiled into Python modules lack it. */
function completeField(field: FieldDescriptorProto): FieldDescriptorProto {
  const jsonName = field.name.replaceAll(/_(.?)/g, (_, next: string) => next.toUpperCase());
  return create(FieldDescriptorProtoSchema, { ...field, jsonName });
}

/** Orders files so that each comes after its imports, otherwise by name. Proto imports have no cycles. */
function importsFirst(files: readonly FileDescriptorProto[]): FileDescriptorProto[] {
  const byName = new Map(files.map((file) => [file.name, file]));
  const ordered = new Set<FileDescriptorProto>();
  const visit = (name: string): void => {
    const file = byName.get(name);
    if (file === undefined || ordered.has(file)) return;
    file.dependency.forEach(visit);
    ordered.add(file);
  };
  [...byName.keys()].sort().forEach(visit);
  return [...ordered];
}

function fieldTypes(message: DescriptorProto): TypeName[] {
  return message.field.map((field) => field.typeName).filter((name) => name !== "");
}

function scopeOf(file: FileDescriptorProto): TypeName {
  return file.package === "" ? "" : `.${file.package}`;
}
