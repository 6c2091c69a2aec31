/**
 * deno run -A test/support/servers.ts [--only pg18,pg15,opensearch] [--heap 2g] -- command args…
 *
 * Starts the servers, tells the command where they are by environment, stops them when it has ended.
 * Exits as the command did.
 */
import process from "node:process";
import { cleanUp } from "./janitor.ts";
import { runCommand, withCleanUp } from "./run_command.ts";
import { type ServerName, serverNames, startServers } from "./server_set.ts";

const usage = "deno run -A test/support/servers.ts [--only pg18,pg15,opensearch] [--heap 2g]" +
  " -- command args…";

await withCleanUp(async () => {
  const { only, heap, command } = parse(process.argv.slice(2));
  const began = performance.now();
  const servers = await startServers(only, {
    ...(heap === undefined ? {} : { heap }),
    started: (server) => say(server.line),
  });
  say(`servers up after ${((performance.now() - began) / 1000).toFixed(1)} s`);
  const env = Object.assign({}, ...servers.map((server) => server.env));
  const { code, seconds } = await runCommand(command, { env });
  say(`${command[0]} ended with ${code} after ${seconds.toFixed(1)} s`);
  return code;
}, cleanUp);

function parse(args: string[]): { only: ServerName[]; heap?: string; command: string[] } {
  const end = args.indexOf("--");
  const options = args.slice(0, end === -1 ? args.length : end);
  const command = end === -1 ? [] : args.slice(end + 1);
  let only: ServerName[] = [...serverNames];
  let heap: string | undefined;
  for (let at = 0; at < options.length; at += 2) {
    const value = options[at + 1];
    if (value === undefined) throw new Error(`Cannot read "${options[at]}": no value\n${usage}`);
    if (options[at] === "--heap") heap = value;
    else if (options[at] === "--only") {
      const names = value.split(",");
      only = serverNames.filter((name) => names.includes(name));
      if (only.length !== names.length) throw new Error(`Cannot start "${value}"\n${usage}`);
    } else throw new Error(`Cannot read option "${options[at]}"\n${usage}`);
  }
  if (command.length === 0) throw new Error(`Cannot run nothing\n${usage}`);
  return { only, command, ...(heap === undefined ? {} : { heap }) };
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}
