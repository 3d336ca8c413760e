/**
 * Which Lightpath this is.
 * @module
 */
import project from "../deno.json" with { type: "json" };

/** `major.minor.patch`, as deno.json has it. */
export const VERSION: string = project.version;
