// Recognize chat messages in payloads and show them as a conversation.

import { el } from "/assets/dom.js";
import { isSensitive, jsonTree, longText, parse } from "/assets/json.js";

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const isMessage = (value) => isObject(value) && typeof value.role === "string";
const ROLES = new Set(["system", "developer", "user", "assistant", "tool", "function"]);

/** Return the messages in a payload and its result, null if it does not look like a chat. */
export function conversation(payload, result) {
  const asked = messagesIn(payload?.messages) ?? messagesIn(payload?.input);
  const answered = answers(result, asked !== null);
  if (asked === null && (answered === null || !answered.some((message) => "role" in message))) return null;
  return [...(asked ?? []), ...(answered ?? [])];
}

function messagesIn(value) {
  return Array.isArray(value) && value.length && value.every(isMessage) ? value : null;
}

/** Return the messages of a result: a message, choices of messages, or the content alone. */
function answers(result, inChat) {
  if (!isObject(result)) return null;
  const listed = messagesIn(result.messages);
  if (listed) return listed;
  if (isMessage(result.message)) return [result.message];
  if (Array.isArray(result.choices)) {
    const chosen = result.choices.map((choice) => choice?.message).filter(isMessage);
    if (chosen.length) return chosen;
  }
  if (isMessage(result) && ROLES.has(result.role)) return [result];
  const speaks = "content" in result || Array.isArray(result.tool_calls);
  return inChat && speaks ? [{ role: "assistant", ...result }] : null;
}

/** Return messages as a list of bubbles. */
export function chat(messages, { reveal }) {
  return el("ol", { class: "chat" }, ...messages.map((message) => bubble(message, reveal)));
}

function bubble(message, reveal) {
  const role = ROLES.has(message.role) ? message.role : "other";
  const parts = [...contents(message.content, reveal), ...calls(message, reveal)];
  if (isObject(message.refusal) || typeof message.refusal === "string") {
    parts.push(...contents(message.refusal, reveal));
  }
  if (!parts.length) parts.push(el("span", { class: "muted", text: "says nothing" }));
  const name = typeof message.name === "string" ? message.name : null;
  const who = el("div", { class: "who" }, el("span", { class: "role", text: message.role }),
    name === null ? null : el("code", { text: name }));
  const long = role === "system" || role === "developer" || role === "tool" || role === "function";
  const said = el("div", { class: "said" }, ...parts);
  const item = el("li", { class: "message", data: { role } }, who, said);
  if (long) item.classList.add("plain");
  return item;
}

/** Return the parts of a message's content. */
function contents(content, reveal) {
  if (content === null || content === undefined || content === "") return [];
  if (typeof content === "string") return [spoken(content)];
  if (Array.isArray(content)) return content.flatMap((part) => piece(part, reveal));
  return [jsonTree(content, { reveal, depth: 1 })];
}

function piece(part, reveal) {
  if (typeof part === "string") return contents(part, reveal);
  if (!isObject(part) || isSensitive(part)) return [jsonTree(part, { reveal })];
  if (typeof part.text === "string") return [spoken(part.text)];
  if (part.type === "tool_use") return [call(part.name, part.input, part.id, reveal)];
  if (part.type === "tool_result") return contents(part.content, reveal);
  return [jsonTree(part, { reveal, depth: 1 })];
}

function spoken(text) {
  const parsed = parse(text);
  return parsed === undefined ? longText(text, "text") : jsonTree(parsed, { depth: 2 });
}

/** Return the tool calls of a message, whichever way they are written. */
function calls(message, reveal) {
  const listed = Array.isArray(message.tool_calls) ? message.tool_calls : [];
  const alone = isObject(message.function_call) ? [message.function_call] : [];
  return [...listed, ...alone].map((asked) => {
    if (!isObject(asked)) return jsonTree(asked, { reveal });
    const inner = isObject(asked.function) ? asked.function : asked;
    return call(inner.name, inner.arguments, asked.id, reveal);
  });
}

function call(name, given, id, reveal) {
  const parsed = typeof given === "string" ? (parse(given) ?? given) : given;
  return el("div", { class: "call", title: typeof id === "string" ? id : null },
    el("div", { class: "call-name" }, el("span", { class: "muted", text: "calls " }),
      el("code", { text: typeof name === "string" ? name : "a tool" })),
    parsed === undefined ? null : jsonTree(parsed, { reveal }));
}
