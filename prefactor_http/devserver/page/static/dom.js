// Build elements. Text only ever becomes text: nothing here, or anywhere in the page, parses HTML.

/** Return an element: `class`, `text`, `on` (listeners) and `data` are understood, the rest are attributes. */
export function el(tag, options = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") node.className = value;
    else if (name === "text") node.textContent = value;
    else if (name === "on") for (const [kind, heard] of Object.entries(value)) node.addEventListener(kind, heard);
    else if (name === "data") Object.assign(node.dataset, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** Set text, touching the document only if it differs. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Set or, with null, remove an attribute, touching the document only if it differs. */
export function setAttribute(node, name, value) {
  if (value === null) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else if (node.getAttribute(name) !== value) {
    node.setAttribute(name, value);
  }
}

/** Return a button. */
export function button(text, pressed, options = {}) {
  return el("button", { type: "button", text, on: { click: pressed }, ...options });
}

/** Return a button that copies what `read` returns and says so. */
export function copyButton(label, read) {
  const node = button(label, async () => {
    try {
      await navigator.clipboard.writeText(read());
      node.textContent = "Copied";
    } catch {
      node.textContent = "Cannot copy here";
    }
    setTimeout(() => setText(node, label), 1200);
  }, { class: "quiet small" });
  return node;
}

/** Return a function that calls `act` at most every `pause` milliseconds, and once more at the end. */
export function throttled(act, pause) {
  let timer = null;
  let again = false;
  const run = () => {
    again = false;
    timer = setTimeout(() => {
      timer = null;
      if (again) run();
    }, pause);
    act();
  };
  return () => {
    if (timer === null) run();
    else again = true;
  };
}

/** Return a function that calls `act` once nothing has asked for it for `pause` milliseconds. */
export function settled(act, pause) {
  let timer = null;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => act(...given), pause);
  };
}
