import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { forget, stopAtExit } from "../support/janitor.ts";
import { startPostgres } from "../support/postgres.ts";
import { pgBouncerProgram } from "../support/toolchain.ts";
import { type Scene, scenes, type StressOptions, type StressReport } from "./run.ts";

/** Both scenes side by side on one server, each in a process of its own. The server ends with them. */
export async function runScenes(
  { seed, seconds }: Pick<StressOptions, "seed" | "seconds">,
  chosen: readonly Scene[] = scenes,
): Promise<readonly StressReport[]> {
  const server = await startPostgres({
    major: 18,
    // Nobody waits for a standby there but who asks for it; and it never comes.
    settings: { synchronous_commit: "local", synchronous_standby_names: "nobody" },
  });
  // Said once, before anything is started.
  await pgBouncerProgram();
  const env = {
    ...process.env,
    SEED: String(seed),
    SECONDS: String(seconds),
    DRIFTLESS_TEST_PG18: server.url,
  };
  const stop = new AbortController();
  const running = Promise.all(
    chosen.map((scene) =>
      runScene({ ...env, SCENE: scene }, stop.signal).catch((error) => {
        // What is left of the others would only be waited for.
        stop.abort();
        throw error;
      })
    ),
  );
  const reports = await running.finally(() => server.stop("SIGQUIT"));
  const file = process.env["STRESS_JSON"] ?? "";
  if (file !== "") writeFileSync(file, `${JSON.stringify(reports, null, 2)}\n`);
  return reports;
}

function runScene(
  env: Record<string, string | undefined>,
  signal: AbortSignal,
): Promise<StressReport> {
  const program = fileURLToPath(new URL("scene.ts", import.meta.url));
  const child = spawn(process.execPath, ["run", "-A", "--no-check", program], {
    env,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const { pid } = child;
  if (pid !== undefined) stopAtExit(pid);
  signal.addEventListener("abort", () => child.kill("SIGKILL"));
  return new Promise((resolve, reject) => {
    let output = "";
    child.stdout.on("data", (chunk) => output += String(chunk));
    child.once("error", reject);
    child.once("close", (code) => {
      if (pid !== undefined) forget(pid);
      if (code === 0) resolve(JSON.parse(output) as StressReport);
      else reject(new Error(`Cannot run the scene "${env["SCENE"]}": it ended with ${code}`));
    });
  });
}
