/**
 * Lightpath: the command line. Parses, runs one command, and turns what went wrong into one sentence and an exit code:
 * 0 done, 1 could not do its work, 2 asked for wrongly.
 * @module
 */
import { type Command, parseCommandLine } from "./agent/config.ts";
import { createLogger } from "./agent/log.ts";
import { runAgent } from "./commands/agent.ts";
import { runBootstrap } from "./commands/bootstrap.ts";
import { runCleanup } from "./commands/cleanup.ts";
import { runExplain } from "./commands/explain.ts";
import { type CommandContext, OutputError } from "./commands/context.ts";
import { explainFault } from "./commands/explain_fault.ts";
import { runVersion } from "./commands/version.ts";

const RUN: Readonly<Record<Command, (context: CommandContext) => Promise<void>>> = {
  agent: runAgent,
  bootstrap: runBootstrap,
  explain: runExplain,
  // Nothing of these is kept in the agents' memory.
  webhook: async (context) => (await import("./commands/webhook.ts")).runWebhook(context),
  adopt: async (context) => (await import("./commands/adopt.ts")).runAdopt(context),
  cleanup: runCleanup,
  version: runVersion,
};

/** Runs the program and returns its exit code. */
export async function main(args: readonly string[]): Promise<number> {
  const line = parseCommandLine(args, {
    env: Deno.env.toObject(),
    hostname: Deno.hostname,
    readTextFile: Deno.readTextFileSync,
  });
  switch (line.kind) {
    case "help":
      await print(Deno.stdout, line.text);
      return 0;
    case "error":
      await print(Deno.stderr, `lightpath: ${line.message}\n`);
      return 2;
    case "run": {
      const { command, config } = line;
      const logger = createLogger({ level: config.logLevel, format: config.logFormat });
      using ending = listenForSignals();
      try {
        await RUN[command]({
          config,
          logger,
          signal: ending.signal,
          print: printOut,
        });
        return 0;
      } catch (error) {
        logger.error(explainFault(error));
        return 1;
      }
    }
    default:
      return line satisfies never;
  }
}

/** A signal that aborts on SIGTERM or SIGINT; a second one ends the process at once. */
function listenForSignals(): Disposable & { readonly signal: AbortSignal } {
  const controller = new AbortController();
  const end = (): void => {
    if (controller.signal.aborted) Deno.exit(1);
    controller.abort();
  };
  const signals: readonly Deno.Signal[] = ["SIGTERM", "SIGINT"];
  for (const signal of signals) Deno.addSignalListener(signal, end);
  return {
    signal: controller.signal,
    [Symbol.dispose]: () => {
      for (const signal of signals) Deno.removeSignalListener(signal, end);
    },
  };
}

async function printOut(text: string): Promise<void> {
  try {
    await print(Deno.stdout, text);
  } catch (cause) {
    throw new OutputError("standard output", cause);
  }
}

async function print(stream: typeof Deno.stdout | typeof Deno.stderr, text: string): Promise<void> {
  const bytes = new TextEncoder().encode(text);
  for (let written = 0; written < bytes.length;) written += await stream.write(bytes.subarray(written));
}

if (import.meta.main) Deno.exit(await main(Deno.args));
