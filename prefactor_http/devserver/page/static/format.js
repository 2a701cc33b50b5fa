// Moments, durations and counts as people read them.

/** Return an ISO moment as milliseconds since the epoch, microseconds kept; null for null. */
export function moment(text) {
  if (!text) return null;
  const milliseconds = Date.parse(text);
  return text.length >= 26 ? milliseconds + Number(text.slice(23, 26)) / 1000 : milliseconds;
}

/** Write a duration in milliseconds. */
export function duration(milliseconds) {
  if (milliseconds === null || Number.isNaN(milliseconds)) return "";
  if (milliseconds < 0) return `−${duration(-milliseconds)}`;
  if (milliseconds === 0) return "0 ms";
  if (milliseconds < 0.9995) return `${Math.max(1, Math.round(milliseconds * 1000))} µs`;
  if (milliseconds < 9.995) return `${milliseconds.toFixed(1)} ms`;
  if (milliseconds < 999.5) return `${Math.round(milliseconds)} ms`;
  if (milliseconds < 59_995) return `${(milliseconds / 1000).toFixed(2)} s`;
  const seconds = Math.round(milliseconds / 1000);
  const two = (value) => String(value).padStart(2, "0");
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${two(seconds % 60)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 1440) return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
  const hours = Math.round(minutes / 60);
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** Write a duration that is round anyway, or not over yet, without zeros behind the point. */
export const roughly = (milliseconds) => duration(milliseconds).replace(/\.0+ /, " ");

/** Write the duration of what has not ended, in whole seconds. */
export const soFar = (milliseconds) => `${roughly(Math.max(0, Math.floor(milliseconds / 1000) * 1000))}…`;

const CLOCK = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
});
const DAY = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });
const YEAR = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short", day: "numeric" });

/** Write a moment, with its day unless that is today. */
export function when(milliseconds, now = Date.now()) {
  if (milliseconds === null) return "";
  const [then, today] = [new Date(milliseconds), new Date(now)];
  const clock = CLOCK.format(then);
  if (then.toDateString() === today.toDateString()) return clock;
  const day = then.getFullYear() === today.getFullYear() ? DAY : YEAR;
  return `${day.format(then)}, ${clock}`;
}

/** Write a moment to the millisecond. */
export function exactly(milliseconds) {
  if (milliseconds === null) return "";
  const fraction = String(Math.floor(((milliseconds % 1000) + 1000) % 1000)).padStart(3, "0");
  return `${when(milliseconds)}.${fraction}`;
}

export const STATUSES = ["pending", "active", "complete", "failed", "cancelled", "terminated"];

const NUMBER = new Intl.NumberFormat("en");

export const number = (value) => NUMBER.format(value);

/** Write counts by status in a fixed order, leaving zeros out. */
export function counted(counts) {
  return STATUSES.filter((status) => counts[status]).map((status) => [status, counts[status]]);
}

/** Return the sum of counts by status. */
export const sum = (counts) => Object.values(counts).reduce((total, count) => total + count, 0);

/** Return the beginning and the end of a long id. */
export const short = (id) => (id.length > 16 ? `${id.slice(0, 6)}…${id.slice(-6)}` : id);
