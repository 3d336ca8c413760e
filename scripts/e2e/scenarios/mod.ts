/**
 * The suite: its scenarios in the order in which they are run, so that as little as possible has to be installed anew.
 * @module
 */
import type { Scenario } from "../scenario.ts";
import { policy, webhook } from "./admission.ts";
import { annotation } from "./annotation.ts";
import { apiDown, historyGone } from "./api_server.ts";
import { agentKilled, envoyKilled } from "./killed.ts";
import { moving } from "./moving.ts";
import { reach } from "./reach.ts";
import { rollout } from "./rollout.ts";
import { tableLost } from "./table_lost.ts";
import { udp } from "./udp.ts";
import { upgrade } from "./upgrade.ts";

/** See the module's comment. */
export const SCENARIOS: readonly Scenario[] = [
  upgrade,
  reach,
  rollout,
  udp,
  annotation,
  agentKilled,
  envoyKilled,
  apiDown,
  historyGone,
  moving,
  tableLost,
  webhook,
  policy,
];
