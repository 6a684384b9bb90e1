// An LLM call as a conversation: what was sent, then the answer of this call, parted by rules. Roles in a gutter.

import { button, el, unit } from "../lib/dom.js";
import { cutMark } from "../record/cut.js";
import { count, countOf, durationText, jsonText } from "../lib/format.js";
import { marked } from "../record/redaction.js";

const ROLES = {
  __proto__: null,
  system: "System",
  user: "User",
  assistant: "Assistant",
  tool: "Tool result",
};
const MAX_TOOLS = 6; // that are named
const SHORT = 600; // characters of an earlier message; the rest is a click away
const SHORT_LINES = 12; // of what a tool was given, or gave

/** The tab of a call, given what was said in it; null without that. */
export function chatTab(record, chat) {
  if (!chat) return null;
  const { sent, answer } = chat;
  return [
    "chat",
    "Chat",
    () => [...(sent ? sentPart(record, sent) : []), ...answerPart(record, answer)],
  ];
}

function sentPart(record, sent) {
  const { messages, later, is_cut: isCut } = sent;
  const turns = (list) => list.map((message) => turn(message.role, message.parts, SHORT));
  return [
    el("h3", { class: "part" }, "Sent ", unit(sentNote(sent))),
    ...turns(messages),
    ...(isCut ? [gapMark(record.request.body, later.length > 0)] : []),
    ...turns(later),
  ];
}

/** How much was sent, at least. */
function sentNote({ messages, later, tools, follows, is_cut: isCut, is_open: isOpen }) {
  const number = countOf(messages.length + later.length, "message");
  const names = tools.slice(0, MAX_TOOLS).join(", ") + (tools.length > MAX_TOOLS ? " …" : "");
  return [
    (isOpen ? "at least " : "") + number + (follows === null ? "" : ` after ${follows}`),
    tools.length > 0 &&
      `${isCut ? "at least " : ""}${countOf(tools.length, "tool")} offered: ${names}`,
  ]
    .filter(Boolean)
    .join(", ");
}

/** Where the request was cut; what is stored behind that and is no message stands elsewhere. */
function gapMark(body, isContinued) {
  const mark = cutMark(body, " of the request");
  if (body.tail && !isContinued) mark.append("; its end is under Request");
  return mark;
}

function answerPart(record, answer) {
  const stream = record.stream;
  const note = stream
    ? `first token after ${durationText(stream.first_content_us)}${stream.frames === null ? "" : `, ${countOf(stream.frames, "frame")}`}`
    : durationText(record.duration_us);
  const title = el("h3", { class: "part answer" }, "Response of this call ", el("span", {}, note));
  if (answer === null)
    return [
      title,
      el("p", { class: "unit" }, "This response cannot be shown as a chat; see Response"),
    ];
  const finish = record.finish_reason;
  const row = turn(
    "assistant",
    answer.parts,
    Infinity,
    finish && el("span", { class: "tag" }, `stop: ${finish}`),
  );
  return [
    title,
    answer.error && el("p", { class: "complaint error" }, el("strong", {}, answer.error)),
    answer.parts.length > 0 || !answer.error ? row : null,
    record.response.body.truncated && cutMark(record.response.body),
  ].filter(Boolean);
}

/** A message: its role, and its parts; texts above `limit` characters are shortened. */
export function turn(role, parts, limit, end = null) {
  return el(
    "div",
    { class: role in ROLES ? "turn " + role : "turn" },
    el("div", { class: "role" }, ROLES[role] ?? role),
    el(
      "div",
      { class: "said" },
      parts.length
        ? parts.map((part) => [
            partNode(part, limit),
            part.is_cut && unit("… the rest of this was not kept"),
          ])
        : unit("nothing"),
      end,
    ),
  );
}

function partNode(part, limit) {
  if (part.kind === "text") return el("div", { class: "prose" }, shortened(part.text, limit));
  if (part.kind === "thinking") return folded("Thinking", part.text);
  if (part.kind === "block")
    return folded(
      [el("code", {}, part.name), " ", unit(countOf(part.text.length, "character"))],
      part.text,
    );
  if (part.kind === "other") return el("p", { class: "unit" }, part.text);
  const text = jsonText(part.text);
  return el(
    "div",
    { class: part.has_failed ? "tool-part error" : "tool-part" },
    el(
      "p",
      {},
      part.kind === "call" && [el("span", { class: "tag" }, "CALL"), " "],
      el("code", { title: part.id }, el("strong", {}, part.name ?? "")),
      part.id &&
        (part.kind === "call" || !part.name) && [" ", el("span", { class: "unit mono" }, part.id)],
      part.has_failed && [" ", el("code", { class: "chip error" }, "failed")],
    ),
    text !== "" && preformatted(text, limit),
  );
}

/** A text in its lines; of one that is long the beginning, and the rest a click away, unless there is no limit. */
export function preformatted(text, limit) {
  const lines = text.split("\n");
  const head = lines
    .slice(0, SHORT_LINES)
    .join("\n")
    .slice(0, 2 * limit);
  if (limit === Infinity || head === text) return el("pre", { tabindex: 0 }, marked(text));
  const size =
    lines.length > SHORT_LINES ? countOf(lines.length, "line") : countOf(text.length, "character");
  const pre = el("pre", { tabindex: 0 }, marked(head), " …");
  const more = button(
    `Show all ${size}`,
    () => {
      pre.replaceChildren(...marked(text));
      more.remove();
      pre.focus();
    },
    { class: "link" },
  );
  return [pre, more];
}

const folded = (title, text) =>
  el(
    "details",
    { class: "thinking" },
    el("summary", {}, title),
    el("div", { class: "prose" }, marked(text)),
  );

function shortened(text, limit) {
  if (text.length <= limit) return marked(text);
  const box = el("span", {}, marked(text.slice(0, limit)), "… ");
  box.append(
    button(
      `Show all ${count(text.length)} characters`,
      () => box.replaceChildren(...marked(text)),
      { class: "link" },
    ),
  );
  return box;
}
