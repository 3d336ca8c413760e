/**
 * What a Service's annotations ask for. Pure.
 * @module
 */
export { ANNOTATIONS, SETTING_NAMES } from "./definitions.ts";
export type { AnnotationDefinition, AppliesTo, SettingName, SettingValues } from "./definitions.ts";
export { CONFIG_PREFIX, DEFAULT_SETTINGS, settingsOf } from "./port_settings.ts";
export type { AnnotationFault, AnnotationFaultKind, PortSettings, SettingsPort } from "./port_settings.ts";
export { type SettingInForce, settingsInForce } from "./settings_in_force.ts";
export type { AnnotationKind, HashOn } from "./values.ts";
