/**
 * Lists which settings hold for a port and who said so, for `explain`.
 *
 * In: a port's PortSettings and what it speaks. Out: a row for each setting that such a port can have, in the order of the
 * table. Pure.
 * @module
 */
import { isHttp } from "../app_protocol.ts";
import type { AppProtocol } from "../types.ts";
import { type AnnotationDefinition, ANNOTATIONS, SETTING_NAMES, type SettingName } from "./definitions.ts";
import type { PortSettings } from "./port_settings.ts";

/** A setting as it holds for a port. */
export interface SettingInForce {
  readonly name: SettingName;
  /** As it is written in an annotation. */
  readonly value: string;
  readonly default: string;
  /** Which annotation says so; null: none, the default holds. */
  readonly annotation: string | null;
}

/** The settings of a port, defaults included. */
export function settingsInForce(
  { values, origins }: PortSettings,
  appProtocol: AppProtocol,
): readonly SettingInForce[] {
  const isTcp = !isHttp(appProtocol);
  return SETTING_NAMES.flatMap((name): readonly SettingInForce[] => {
    const definition = ANNOTATIONS[name] as AnnotationDefinition<unknown>;
    if (definition.appliesTo === (isTcp ? "HTTP" : "TCP")) return [];
    // TCP has this one only where somebody asks for it: connections may be silent for days, and nobody would know.
    const byDefault = isTcp && name === "idle-timeout" ? "none" : definition.kind.render(definition.default);
    const annotation = origins.get(name) ?? null;
    const value = annotation === null ? byDefault : definition.kind.render(values[name]);
    return [{ name, value, default: byDefault, annotation }];
  });
}
