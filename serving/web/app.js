// The page's behaviour. What is typed is only explained (POST /explain, never logged); what is kept is a
// prediction like any other (POST /predict). Nothing leaves the page but these requests.

const $ = (id) => document.getElementById(id);
const text = $("text");
const STORE = "cola-recent";
const KEEP = 20;
const PAUSE_MS = 120;

let timer = 0;
let underway = new AbortController();
let recent = JSON.parse(sessionStorage.getItem(STORE) ?? "[]");

const lines = () => text.value.split("\n").map((line) => line.trim()).filter(Boolean);
const percent = (share) => `${(share * 100).toFixed(share > 0.99 && share < 1 ? 1 : 0)}%`;
const element = (name, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};

async function call(path, body, signal) {
  const headers = { "content-type": "application/json" };
  const key = sessionStorage.getItem("cola-key");
  if (key) headers["x-api-key"] = key;
  const response = await fetch(path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body), signal });
  const answer = await response.json().catch(() => ({ error: { message: `the server answered ${response.status}` } }));
  if (response.ok) return answer;
  if (response.status === 401) $("key-row").hidden = false;
  throw new Error(answer.error.message);
}

function problem(error) {
  if (error?.name === "AbortError") return;
  const message = error instanceof TypeError ? "The service cannot be reached. Type to try again." : error?.message;
  $("problem").hidden = !message;
  $("problem").textContent = message ? message[0].toUpperCase() + message.slice(1) : "";
}

// One answer at a time: a newer question aborts the one under way.
async function ask(path, body) {
  underway.abort();
  underway = new AbortController();
  const { signal } = underway;
  document.body.classList.add("waiting");
  try {
    const answer = await call(path, body, signal);
    if (signal.aborted) return undefined;
    problem(null);
    return answer;
  } catch (error) {
    if (!signal.aborted) { $("verdict").hidden = true; problem(error); }
    return undefined;
  } finally {
    if (!signal.aborted) document.body.classList.remove("waiting");
  }
}

async function preview() {
  const sentences = lines();
  $("submit").textContent = sentences.length > 1 ? `Check ${sentences.length}` : "Keep";
  $("many").hidden = true;
  if (sentences.length !== 1) {
    underway.abort();
    document.body.classList.remove("waiting");
    $("verdict").hidden = true;
    problem(null);
    return;
  }
  const answer = await ask("/explain", { sentence: sentences[0] });
  if (answer) show(answer);
}

function show({ text: sentence, prediction: { label, score }, words }) {
  const acceptable = label === "acceptable" ? score : 1 - score;
  $("verdict").hidden = false;
  $("verdict").dataset.label = label;
  $("label").textContent = label[0].toUpperCase() + label.slice(1);
  $("score").textContent = `${percent(score)} sure`;
  $("needle").style.setProperty("--at", `${2 + acceptable * 96}%`);
  showWords(sentence, words);
  const worst = words.filter(({ effect }) => effect !== null).sort((a, b) => a.effect - b.effect)[0];
  const hurts = worst && worst.effect < -0.02;
  $("advice").replaceChildren(...(hurts
    ? [element("b", {}, `\u201c${worst.word}\u201d`), ` hurts most: without it, \u201cacceptable\u201d rises by ${points(worst.effect)}.`]
    : []));
  $("spoken").textContent = `${label}, ${percent(score)}. ${$("advice").textContent}`;
}

const points = (effect) => `${Math.round(Math.abs(effect) * 100)} points`;

function showWords(sentence, words) {
  const characters = Array.from(sentence); // the API counts code points, JavaScript does not
  const most = Math.max(0.1, ...words.map(({ effect }) => Math.abs(effect ?? 0)));
  const parts = [];
  let at = 0;
  for (const { word, start, end, effect } of words) {
    parts.push(characters.slice(at, start).join(""));
    const kind = effect === null || Math.abs(effect) < 0.01 ? "" : effect < 0 ? "hurts" : "helps";
    const button = element("button", { type: "button", className: kind, textContent: word });
    button.style.setProperty("--share", Math.round((Math.abs(effect ?? 0) / most) * 100));
    button.title = kind ? `${kind} by ${points(effect)}` : "makes no difference";
    button.ariaLabel = `${word}, ${button.title}`;
    button.addEventListener("click", () => leaveOut(characters, start, end));
    parts.push(button);
    at = end;
  }
  $("words").replaceChildren(...parts, characters.slice(at).join(""));
}

function leaveOut(characters, start, end) {
  const before = characters.slice(0, start).join("").trimEnd();
  const after = characters.slice(end).join("");
  set(before ? before + after : after.trimStart());
}

function set(value) {
  text.value = value;
  fit();
  text.focus();
  preview();
}

async function keep() {
  const sentences = lines();
  if (!sentences.length) { text.focus(); return; }
  if (sentences.length > 1) {
    // What is shown may be an earlier text's; and a preview to come would hide the answer.
    clearTimeout(timer);
    preview();
    const answer = await ask("/predict", { sentences });
    if (answer) showMany(answer.predictions);
    return;
  }
  try {
    const { text: sentence, prediction } = await call("/predict", { sentence: sentences[0] });
    problem(null);
    recent = [{ sentence, ...prediction }, ...recent.filter((item) => item.sentence !== sentence)].slice(0, KEEP);
    remember();
    $("spoken").textContent = `kept: ${prediction.label}, ${percent(prediction.score)}`;
  } catch (error) { problem(error); }
}

function row({ sentence, label, score }) {
  const button = element("button", { type: "button" }, element("q", {}, sentence), element("em", {}, `${label} ${percent(score)}`));
  button.addEventListener("click", () => { set(sentence); scrollTo({ top: 0, behavior: "smooth" }); });
  const item = element("li", {}, button);
  item.dataset.label = label;
  return item;
}

function showMany(predictions) {
  const good = predictions.filter(({ prediction }) => prediction.label === "acceptable").length;
  $("many-title").textContent = `${good} of ${predictions.length} acceptable`;
  $("many").querySelector("ol").replaceChildren(...predictions.map(({ text: sentence, prediction }) => row({ sentence, ...prediction })));
  $("many").hidden = false;
  $("spoken").textContent = $("many-title").textContent;
}

function remember() {
  sessionStorage.setItem(STORE, JSON.stringify(recent));
  $("recent").hidden = !recent.length;
  $("recent").querySelector("ol").replaceChildren(...recent.map(row));
}

// The text field grows with its text; `field-sizing` does it where the browser knows it.
function fit() {
  if (CSS.supports("field-sizing", "content")) return;
  text.style.height = "auto";
  text.style.height = `${text.scrollHeight}px`;
}

async function showModel() {
  const { version, name, precision, lineage } = await call("/model");
  const mcc = lineage.metrics?.overall?.mcc;
  const facts = {
    Model: name.split("/").pop(), Version: version, Precision: precision,
    Corpus: lineage.corpus?.name, MCC: mcc == null ? undefined : mcc.toFixed(3),
  };
  $("model").replaceChildren(...Object.entries(facts).filter(([, value]) => value)
    .map(([term, value]) => element("div", {}, element("dt", {}, term), element("dd", {}, value))));
}

text.addEventListener("input", () => { fit(); clearTimeout(timer); timer = setTimeout(preview, PAUSE_MS); });
text.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  if (lines().length > 1 && !event.ctrlKey && !event.metaKey) return; // among several lines, Enter is a line break
  event.preventDefault();
  keep();
});
$("ask").addEventListener("submit", (event) => { event.preventDefault(); keep(); });
$("key").addEventListener("change", ({ target }) => { sessionStorage.setItem("cola-key", target.value); preview(); });
$("clear").addEventListener("click", () => { recent = []; remember(); text.focus(); });
$("examples").addEventListener("click", ({ target }) => { if (target.matches("button")) set(target.textContent); });
remember();
showModel().catch(problem);
if (text.value) preview();
