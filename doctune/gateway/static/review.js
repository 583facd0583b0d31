// The review page: a queue on the left, one item on the right, everything by keyboard.
// What users and models wrote becomes text, never markup.

const find = (id) => document.getElementById(id);
let key = sessionStorage.getItem("key") ?? "";
let queue = [];
let chosen = 0;
let open = null;

async function ask(method, path, body) {
  const answer = await fetch(path, {
    method,
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (!answer.ok) {
    const said = await answer.json().catch(() => ({}));
    const error = new Error(said.error?.message ?? `The gateway answered ${answer.status}.`);
    error.status = answer.status;
    throw error;
  }
  return answer;
}

const say = (text) => { find("status").textContent = text; };

function line(text) {
  const item = document.createElement("li");
  item.textContent = text;
  return item;
}

async function load() {
  const answer = await ask("GET", "/v1/review/queue");
  queue = (await answer.json()).data;
  chosen = Math.min(chosen, Math.max(0, queue.length - 1));
  showQueue();
}

function showQueue() {
  find("queue").replaceChildren(...queue.map((item, at) => {
    const row = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = (item.disagreement ? "People disagree: " : "") + item.question;
    button.setAttribute("aria-current", String(at === chosen));
    button.addEventListener("click", () => { chosen = at; guarded(claim); });
    row.classList.toggle("same", at > 0 && queue[at - 1].cluster === item.cluster);
    row.append(button);
    return row;
  }));
  if (!queue.length) say("Nothing is left to review.");
}

async function claim() {
  const item = queue[chosen];
  if (!item) return;
  if (open && open.id !== item.id) await ask("POST", `/v1/review/items/${open.id}/release`, {});
  open = await (await ask("POST", `/v1/review/items/${item.id}/claim`, {})).json();
  showQueue();
  showItem();
  say("");
}

function showItem() {
  find("item").hidden = false;
  find("picture").hidden = true;
  find("question").textContent = open.question;
  find("answer").textContent = open.answer ?? "(not kept)";
  const corrections = open.feedback.filter((one) => one.kind === "correction");
  find("correct").value = corrections.at(-1)?.value.correction ?? "";
  find("said").replaceChildren(...open.feedback.map((one) => {
    const value = one.value[one.kind];
    const text = typeof value === "object" ? JSON.stringify(value) : String(value);
    return line(`${one.source}: ${one.kind} ${text}${one.reason ? ` (${one.reason})` : ""}`);
  }));
  find("sources").replaceChildren(...open.sources.map((source) => {
    const row = line("");
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = `${source.document}, page ${source.page}`;
    button.addEventListener("click", () => guarded(() => showPicture(source)));
    row.append(button);
    return row;
  }));
  find("history").replaceChildren(
    ...open.history.map((one) => line(`${one.created_at}: ${one.reviewer} ${one.action}`)),
  );
}

async function showPicture(source) {
  if (!source?.picture) { say("There is no picture of this page."); return; }
  const picture = find("picture");
  const answer = await ask("GET", source.picture);
  URL.revokeObjectURL(picture.src);
  picture.src = URL.createObjectURL(await answer.blob());
  picture.alt = `${source.document}, page ${source.page}`;
  picture.hidden = false;
}

async function decide(action) {
  if (!open) return;
  if (action === "skip") {
    await ask("POST", `/v1/review/items/${open.id}/release`, {});
    chosen += 1;
  } else {
    const body = { action };
    if (action === "accept" || action === "edit") body.answer = find("correct").value.trim();
    if (action === "merge") body.into = mergeTarget();
    if (body.answer === "") { say("Write the right answer first."); return; }
    if (action === "merge" && !body.into) { say("No other question is like this one."); return; }
    await ask("POST", `/v1/review/items/${open.id}/decision`, body);
  }
  open = null;
  find("item").hidden = true;
  await load();
  say(queue.length ? "Saved." : "Saved. Nothing is left to review.");
}

function mergeTarget() {
  const others = queue.filter((item) => item.id !== open.id);
  const at = queue.findIndex((item) => item.id === open.id);
  return (others.find((item) => item.cluster === open.cluster) ?? queue[at - 1])?.id;
}

async function guarded(work) {
  try {
    await work();
  } catch (error) {
    if (error.status === 401 || error.status === 403) signIn(error.message);
    else { say(error.message); if (error.status === 409) { open = null; await load(); } }
  }
}

function signIn(problem) {
  find("sign-in-problem").textContent = problem;
  if (!find("sign-in").open) find("sign-in").showModal();
}

find("sign-in-form").addEventListener("submit", (event) => {
  event.preventDefault();
  key = find("key").value.trim();
  guarded(async () => {
    await load();
    sessionStorage.setItem("key", key);
    find("key").value = "";
    find("sign-in").close();
  });
});
find("sign-in").addEventListener("cancel", (event) => event.preventDefault());
find("edit").addEventListener("submit", (event) => {
  event.preventDefault();
  guarded(() => decide("edit"));
});
for (const button of document.querySelectorAll("button[data-action][type=button]")) {
  button.addEventListener("click", () => guarded(() => decide(button.dataset.action)));
}

const KEYS = {
  j: () => { chosen = Math.min(chosen + 1, queue.length - 1); showQueue(); },
  k: () => { chosen = Math.max(chosen - 1, 0); showQueue(); },
  Enter: claim,
  a: () => decide("accept"),
  r: () => decide("reject"),
  m: () => decide("merge"),
  s: () => decide("skip"),
  e: () => find("correct").focus(),
  p: () => showPicture(open?.sources[0]),
};

document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("textarea, input");
  if (typing && event.key === "Escape") { event.target.blur(); return; }
  if (typing && event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    guarded(() => decide("edit"));
    return;
  }
  if (typing || event.ctrlKey || event.metaKey || event.altKey || find("sign-in").open) return;
  if (event.target.matches("button") && event.key === "Enter") return;
  const act = KEYS[event.key];
  if (act) { event.preventDefault(); guarded(async () => act()); }
});

if (key) guarded(load); else signIn("");
