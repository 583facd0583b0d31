// The chat page. Text from models and users only ever becomes text nodes, never markup.

const find = (id) => document.getElementById(id);
const state = { key: sessionStorage.getItem("key") ?? "", conversations: [], current: null, stop: null };

const STORE = "conversations";

// Signing in

async function signIn(key) {
  const answer = await fetch("/v1/models", { headers: { authorization: `Bearer ${key}` } });
  if (!answer.ok) throw new Error((await answer.json()).error.message);
  const models = (await answer.json()).data;
  state.key = key;
  sessionStorage.setItem("key", key);
  find("model").replaceChildren(...models.map((model) => new Option(model.id, model.id)));
}

function askForKey() {
  find("key").value = "";
  if (!find("sign-in").open) find("sign-in").showModal();
  find("key").focus();
}

find("sign-in").addEventListener("cancel", (event) => event.preventDefault());
find("sign-in-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await signIn(find("key").value.trim());
    find("sign-in-problem").textContent = "";
    find("sign-in").close();
    loadConversations();
    find("question").focus();
  } catch (error) {
    find("sign-in-problem").textContent = error.message;
  }
});
find("sign-out").addEventListener("click", () => {
  state.stop?.abort();
  sessionStorage.removeItem("key");
  state.key = "";
  find("messages").replaceChildren();
  find("list").replaceChildren();
  askForKey();
});

// Conversations, kept in this browser for each key

async function storeName() {
  const digest = await crypto.subtle?.digest("SHA-256", new TextEncoder().encode(state.key));
  const id = digest ? [...new Uint8Array(digest)].slice(0, 8).map((b) => b.toString(16)).join("") : "all";
  return `${STORE}-${id}`;
}

async function loadConversations() {
  try {
    state.conversations = JSON.parse(localStorage.getItem(await storeName()) ?? "[]");
  } catch {
    state.conversations = [];
  }
  open(state.conversations[0] ?? null);
}

async function save() {
  localStorage.setItem(await storeName(), JSON.stringify(state.conversations.slice(0, 100)));
  showList();
}

function showList() {
  find("list").replaceChildren(...state.conversations.map((conversation) => {
    const button = make("button", { type: "button", textContent: conversation.title });
    button.setAttribute("aria-current", String(conversation === state.current));
    button.addEventListener("click", () => open(conversation));
    const item = make("li");
    item.append(button);
    return item;
  }));
}

function open(conversation) {
  state.stop?.abort();
  state.current = conversation;
  find("messages").replaceChildren();
  for (const message of conversation?.messages ?? []) showMessage(message);
  find("conversations").classList.remove("open");
  showList();
}

find("new").addEventListener("click", () => {
  open(null);
  find("question").focus();
});
find("toggle-list").addEventListener("click", () => {
  const shown = find("conversations").classList.toggle("open");
  find("toggle-list").setAttribute("aria-expanded", String(shown));
});

// Asking

find("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  const question = find("question").value.trim();
  if (question && !state.stop) ask(question);
});
find("question").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    find("ask").requestSubmit();
  }
});
find("stop").addEventListener("click", () => state.stop?.abort());

async function ask(question) {
  if (!state.current) {
    state.current = { id: crypto.randomUUID?.() ?? String(Date.now()), title: question.slice(0, 60), messages: [] };
    state.conversations.unshift(state.current);
  }
  const conversation = state.current;
  const messages = conversation.messages;
  messages.push({ role: "user", content: question });
  showMessage(messages.at(-1));
  find("question").value = "";
  const reply = { role: "assistant", content: "", id: null };
  const shown = showMessage(reply);
  busy(true);
  try {
    await stream(conversation, (part) => {
      reply.id ??= part.id;
      reply.content += part.choices[0]?.delta?.content ?? "";
      if (part.sources) reply.sources = part.sources;
      render(shown.querySelector(".text"), reply.content);
    });
  } catch (error) {
    if (error.name !== "AbortError") showProblem(error.message);
  } finally {
    busy(false);
    if (reply.content) messages.push(reply);
    else if (messages.at(-1)?.role === "user") messages.pop();
    shown.replaceWith(...(reply.content ? [messageItem(reply)] : []));
    await save();
    find("question").focus();
  }
}

async function stream(conversation, take) {
  const answer = await fetch("/v1/chat/completions", {
    method: "POST",
    signal: state.stop.signal,
    headers: { authorization: `Bearer ${state.key}`, "content-type": "application/json" },
    body: JSON.stringify({
      model: find("model").value,
      stream: true,
      messages: conversation.messages.map(({ role, content }) => ({ role, content })),
      metadata: { conversation_id: conversation.id },
    }),
  });
  if (answer.status === 401) askForKey();
  if (!answer.ok) throw new Error((await answer.json()).error.message);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) throw new Error("The answer broke off.");
    const events = (rest + value).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const data = event.replace(/^data: ?/, "");
      if (data === "[DONE]") return;
      const part = JSON.parse(data);
      if (part.error) throw new Error(part.error.message);
      take(part);
    }
  }
}

function busy(now) {
  state.stop = now ? new AbortController() : null;
  find("send").hidden = now;
  find("stop").hidden = !now;
}

// Messages and what may be said of them

function showMessage(message) {
  const item = messageItem(message);
  find("messages").append(item);
  item.scrollIntoView({ block: "end" });
  return item;
}

function showProblem(text) {
  const item = make("li", { className: "problem", textContent: text });
  item.setAttribute("role", "alert");
  find("messages").append(item);
}

function messageItem(message) {
  const item = make("li", { className: message.role });
  const text = make("div", { className: "text" });
  if (message.role === "user") text.textContent = message.content;
  else render(text, message.content);
  item.append(text);
  if (message.sources?.length) item.append(sourceList(message.sources));
  if (message.role === "assistant" && message.id) item.append(actions(message));
  return item;
}

function sourceList(sources) {
  const list = make("ul", { className: "sources" });
  for (const source of sources) {
    const button = make("button", { type: "button", textContent: sourceName(source) });
    button.addEventListener("click", () => openPage(source));
    const item = make("li");
    item.append(button);
    list.append(item);
  }
  return list;
}

function sourceName(source) {
  const heading = source.heading?.length ? `: ${source.heading.at(-1)}` : "";
  const page = source.page ? `, page ${source.page}` : "";
  return `[${source.number}] ${source.document}${page}${heading}`;
}

async function openPage(source) {
  const dialog = find("page");
  find("page-title").textContent = sourceName(source);
  find("page-problem").textContent = "";
  const picture = find("page-picture");
  picture.hidden = true;
  dialog.showModal();
  try {
    // The path is of this gateway alone, whatever an answer says.
    const path = `/v1/sources/${encodeURIComponent(source.id)}/page.png`;
    const answer = await fetch(path, { headers: { authorization: `Bearer ${state.key}` } });
    if (!answer.ok) throw new Error((await answer.json()).error.message);
    URL.revokeObjectURL(picture.src);
    picture.src = URL.createObjectURL(await answer.blob());
    picture.alt = `${source.document}, page ${source.page}, with the place framed`;
    picture.hidden = false;
  } catch (error) {
    find("page-problem").textContent = error.message;
  }
}

find("page-close").addEventListener("click", () => find("page").close());

function actions(message) {
  const bar = make("div", { className: "actions" });
  const copy = make("button", { type: "button", textContent: "Copy" });
  copy.addEventListener("click", async () => {
    await navigator.clipboard?.writeText(message.content);
    copy.textContent = "Copied";
  });
  const up = thumb(message, bar, "up", "👍", "Right");
  const down = thumb(message, bar, "down", "👎", "Wrong");
  bar.append(copy, up, down);
  return bar;
}

function thumb(message, bar, rating, sign, label) {
  const button = make("button", { type: "button", textContent: sign });
  button.setAttribute("aria-label", label);
  button.setAttribute("aria-pressed", String(message.rating === rating));
  button.addEventListener("click", async () => {
    if (!(await sendFeedback(bar, { prediction_id: message.id, kind: "rating", rating }))) return;
    message.rating = rating;
    for (const other of bar.querySelectorAll("button[aria-pressed]")) {
      other.setAttribute("aria-pressed", String(other === button));
    }
    await save();
    bar.querySelector("form")?.remove();
    if (rating === "down") bar.append(correctionForm(message, bar));
  });
  return button;
}

function correctionForm(message, bar) {
  const form = make("form");
  const reason = make("input", { type: "text", placeholder: "What is wrong?" });
  reason.setAttribute("aria-label", "What is wrong?");
  const better = make("textarea", { rows: 3, placeholder: "The right answer", required: true });
  better.setAttribute("aria-label", "The right answer");
  form.append(reason, better, make("button", { type: "submit", textContent: "Send correction" }));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const said = { prediction_id: message.id, kind: "correction", correction: better.value };
    if (reason.value.trim()) said.reason = reason.value.trim();
    if (await sendFeedback(bar, said)) {
      form.replaceWith(make("p", { textContent: "Thank you: the correction is kept." }));
    }
  });
  return form;
}

async function sendFeedback(bar, said) {
  bar.querySelector(".problem")?.remove();
  let problem = "The gateway cannot be reached.";
  try {
    const answer = await fetch("/v1/feedback", {
      method: "POST",
      headers: { authorization: `Bearer ${state.key}`, "content-type": "application/json" },
      body: JSON.stringify(said),
    });
    if (answer.ok) return true;
    problem = (await answer.json()).error.message;
  } catch { /* said below */ }
  const note = make("p", { className: "problem", textContent: `Not kept: ${problem}` });
  note.setAttribute("role", "alert");
  bar.append(note);
  return false;
}

// Markdown: paragraphs, headings, lists, code, emphasis and links, as nodes

function render(target, markdown) {
  target.replaceChildren(...blocks(markdown));
}

function blocks(markdown) {
  const nodes = [];
  const lines = markdown.split("\n");
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i];
    const heading = /^(#{1,4})\s+(.*)$/.exec(line);
    const bullet = /^\s*([-*]|\d+[.)])\s+/.exec(line);
    if (line.startsWith("```")) {
      const code = [];
      while (++i < lines.length && !lines[i].startsWith("```")) code.push(lines[i]);
      const pre = make("pre");
      pre.append(make("code", { textContent: code.join("\n") }));
      nodes.push(pre);
    } else if (heading) {
      nodes.push(withInline(make(`h${heading[1].length + 2}`), heading[2]));
    } else if (bullet) {
      const list = make(/\d/.test(bullet[1]) ? "ol" : "ul");
      for (; i < lines.length && /^\s*([-*]|\d+[.)])\s+/.test(lines[i]); i++) {
        list.append(withInline(make("li"), lines[i].replace(/^\s*([-*]|\d+[.)])\s+/, "")));
      }
      i--;
      nodes.push(list);
    } else if (line.trim()) {
      const paragraph = [line];
      while (lines[i + 1]?.trim() && !/^(#|```|\s*([-*]|\d+[.)])\s)/.test(lines[i + 1])) {
        paragraph.push(lines[++i]);
      }
      nodes.push(withInline(make("p"), paragraph.join("\n")));
    }
  }
  return nodes;
}

function withInline(node, text) {
  const pattern = /`([^`]+)`|\*\*([^*]+)\*\*|\*([^*\s][^*]*)\*|\[([^\]]+)\]\((https?:\/\/[^\s)]+)\)/g;
  let end = 0;
  for (const match of text.matchAll(pattern)) {
    node.append(text.slice(end, match.index));
    end = match.index + match[0].length;
    if (match[1]) node.append(make("code", { textContent: match[1] }));
    else if (match[2]) node.append(make("strong", { textContent: match[2] }));
    else if (match[3]) node.append(make("em", { textContent: match[3] }));
    else node.append(make("a", { textContent: match[4], href: match[5], rel: "noopener noreferrer", target: "_blank" }));
  }
  node.append(text.slice(end));
  return node;
}

function make(name, properties = {}) {
  return Object.assign(document.createElement(name), properties);
}

// The start

if (state.key) {
  signIn(state.key).then(loadConversations, askForKey);
} else {
  askForKey();
}
