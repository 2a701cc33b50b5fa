// Questions to the server, its one button, and its events.

/** An answer that is no success; `status` is 0 if there was none. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** A number that JavaScript cannot hold exactly, as it was written. */
export class Exact {
  constructor(source) {
    this.source = source;
  }

  toJSON() {
    return JSON.rawJSON ? JSON.rawJSON(this.source) : this.source;
  }
}

function exact(_key, value, context) {
  if (typeof value !== "number" || !context?.source) return value;
  const lossy = !Number.isFinite(value) || (Number.isInteger(value) && !Number.isSafeInteger(value));
  return lossy ? new Exact(context.source) : value;
}

async function answer(path, options, reviver) {
  let response;
  try {
    response = await fetch(path, { cache: "no-store", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "the server does not answer");
  }
  const text = await response.text();
  let body;
  try {
    body = JSON.parse(text, reviver);
  } catch {
    throw new Refused(response.status, `the answer (${response.status}) cannot be read`);
  }
  if (!response.ok) throw new Refused(response.status, body.message ?? `the server said ${response.status}`);
  return body;
}

/** Ask for `path`; empty values are left out of the query. */
export function ask(path, query = {}, { signal, reviver } = {}) {
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== "" && value !== null && value !== undefined) words.set(name, value);
  }
  const text = words.toString();
  return answer(text ? `${path}?${text}` : path, { signal }, reviver);
}

export const runPath = (run) => `/page/runs/${encodeURIComponent(run)}`;

/** Return one span in full, its numbers as they were written. */
export function askSpan(id, reveal, signal) {
  const query = reveal ? { reveal: "true" } : {};
  return ask(`/page/spans/${encodeURIComponent(id)}`, query, { signal, reviver: exact });
}

/** Terminate a run. */
export function terminate(run, reason) {
  return answer(`${runPath(run)}/terminate`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ reason }),
  });
}

/**
 * Hear of changes while the page is looked at; a browser allows few streams for each server, so
 * a hidden tab holds none. `state` is told "on", "waiting" or "off".
 */
export function watch(changed, state) {
  let source = null;
  const close = () => {
    source?.close();
    source = null;
    state("off");
  };
  const open = () => {
    if (source) return;
    state("waiting");
    source = new EventSource("/page/events");
    source.addEventListener("open", () => state("on"));
    source.addEventListener("change", changed);
    source.addEventListener("error", () => {
      state("waiting");
      if (source?.readyState === EventSource.CLOSED) {
        close();
        setTimeout(follow, 2000);
      }
    });
  };
  const follow = () => (document.hidden ? close() : open());
  document.addEventListener("visibilitychange", follow);
  addEventListener("pagehide", close);
  addEventListener("pageshow", follow);
  follow();
}
