/**
 * Stops servers and removes their folders when this process is gone, however it went: a shell holds
 * the other end of a pipe, and the kernel closes our end even after SIGKILL. It sits in a session of
 * its own, so Ctrl-C doesn't reach it before it has done its work.
 */
import { type ChildProcess, spawn } from "node:child_process";

const script = `
trap '' INT TERM HUP
IFS='
'
pids=''
folders=''
while IFS=' ' read -r verb what; do
  case "$verb" in
    stop) pids="$pids
$what" ;;
    forget)
      rest=''
      for pid in $pids; do [ "$pid" = "$what" ] || rest="$rest
$pid"; done
      pids="$rest" ;;
    remove) folders="$folders
$what" ;;
    keep)
      rest=''
      for folder in $folders; do [ "$folder" = "$what" ] || rest="$rest
$folder"; done
      folders="$rest" ;;
  esac
done
for pid in $pids; do kill -INT "$pid" 2>/dev/null; done
for pid in $pids; do
  tries=0
  while kill -0 "$pid" 2>/dev/null; do
    tries=$((tries + 1))
    if [ "$tries" -gt 60 ]; then kill -KILL "$pid" 2>/dev/null; break; fi
    sleep 0.1
  done
done
for folder in $folders; do rm -rf "$folder"; done
`;

let shell: ChildProcess | undefined;

/** The process is interrupted when we are gone, and killed if it hasn't ended 6 s later. */
export function stopAtExit(pid: number): void {
  tell(`stop ${pid}`);
}

/** The process has ended: its number may soon be somebody else's. */
export function forget(pid: number): void {
  if (shell !== undefined) tell(`forget ${pid}`);
}

/** The folder is removed when we are gone, after the processes have ended. */
export function removeAtExit(folder: string): void {
  tell(`remove ${folder}`);
}

/** Takes `removeAtExit` back. */
export function keepAtExit(folder: string): void {
  if (shell !== undefined) tell(`keep ${folder}`);
}

/** Does now what would be done at exit, and waits for it. */
export async function cleanUp(): Promise<void> {
  const ending = shell;
  shell = undefined;
  if (ending === undefined) return;
  ending.ref();
  const ended = new Promise((resolve) => ending.once("exit", resolve));
  ending.stdin?.end();
  await ended;
}

function tell(line: string): void {
  if (shell === undefined) {
    shell = spawn("/bin/sh", ["-c", script], {
      stdio: ["pipe", "ignore", "ignore"],
      detached: true,
    });
    shell.unref();
    const pipe = shell.stdin;
    if (pipe !== null && "unref" in pipe && typeof pipe.unref === "function") pipe.unref();
  }
  shell.stdin?.write(line + "\n");
}
