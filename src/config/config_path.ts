/** Where a value stands in a config: keys and list positions from the top. */
export type ConfigPath = readonly (string | number)[];

/** `indexes.users.where[0].op`; a key that isn't a plain word is quoted: `tables["crm.orders"]`. */
export function formatPath(path: ConfigPath): string {
  let text = "";
  for (const step of path) {
    if (typeof step === "number") text += `[${step}]`;
    else if (!/^[\w$@-]+$/.test(step)) text += `[${JSON.stringify(step)}]`;
    else text += text === "" ? step : `.${step}`;
  }
  return text;
}

/** The inverse of `formatPath`; what can't be read ends the path. */
export function parsePath(text: string): ConfigPath {
  const path: (string | number)[] = [];
  for (const match of text.matchAll(/\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]|([^.[\]]+)/g)) {
    const [, position, quoted, word] = match;
    if (position !== undefined) path.push(Number(position));
    else if (quoted !== undefined) path.push(JSON.parse(quoted) as string);
    else if (word !== undefined) path.push(word);
  }
  return path;
}
