/**
 * All scenarios, in the order in which they are numbered: new ones come at the end of their file, and nothing depends on it.
 * @module
 */
import type { Scenario } from "../case.ts";
import { DESTINATIONS } from "./destinations.ts";
import { ENDPOINTS } from "./endpoints.ts";
import { POLICIES } from "./policies.ts";

export const SCENARIOS: readonly Scenario[] = [...DESTINATIONS, ...ENDPOINTS, ...POLICIES];
