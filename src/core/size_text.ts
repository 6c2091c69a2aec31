/** `512 bytes`, `4.2 MB`, `10 GB`: in thousands, as a config counts them. */
export function sizeText(bytes: bigint): string {
  let value = Number(bytes);
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${value >= 10 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

const UNITS = ["bytes", "kB", "MB", "GB", "TB"];
