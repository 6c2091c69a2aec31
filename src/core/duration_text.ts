/** `250 ms`, `90 s`, `15 min`, `1 h`, `3 days`: rounded up to what a person reads at a glance. */
export function durationText(ms: number): string {
  if (ms < 1000) return `${Math.ceil(ms)} ms`;
  const seconds = Math.ceil(ms / 1000);
  if (seconds < 60 || seconds % 60 !== 0 && seconds < 600) return `${seconds} s`;
  const minutes = Math.ceil(seconds / 60);
  if (minutes < 60 || minutes % 60 !== 0 && minutes < 180) return `${minutes} min`;
  const hours = Math.ceil(minutes / 60);
  return hours < 72 ? `${hours} h` : `${Math.ceil(hours / 24)} days`;
}
