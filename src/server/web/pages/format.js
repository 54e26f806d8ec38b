// Numbers and times as a person reads them.

export const count = (value) => Math.round(value).toLocaleString("en");

export function plural(value, word) {
  return `${count(value)} ${word}${Math.round(value) === 1 ? "" : "s"}`;
}

export function speed(value) {
  if (!Number.isFinite(value) || value <= 0) return "0";
  return value >= 100 ? count(value) : value.toFixed(1);
}

export function seconds(value) {
  if (value < 9.95) return `${value.toFixed(1)} s`;
  if (value < 59.5) return `${Math.round(value)} s`;
  const whole = Math.round(value);
  return `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

// The heading under which a list of conversations shows one of that time.
export function period(time, now) {
  const midnight = new Date(now);
  midnight.setHours(0, 0, 0, 0);
  const days = Math.ceil((midnight - time) / 86400000);
  if (days <= 0) return "Today";
  if (days === 1) return "Yesterday";
  if (days <= 7) return "Last 7 days";
  if (days <= 30) return "Last 30 days";
  return new Date(time).toLocaleDateString("en", { month: "long", year: "numeric" });
}

// What a finished answer's line says of its speed.
export function statistics(stats) {
  if (!stats || !stats.generated) return "";
  const parts = [];
  if (stats.speed > 0) parts.push(`${stats.exact ? "" : "~"}${speed(stats.speed)} tokens/s`);
  parts.push(plural(stats.generated, "token"));
  if (stats.first >= 0.05) parts.push(`first after ${seconds(stats.first)}`);
  return parts.join(" · ");
}
