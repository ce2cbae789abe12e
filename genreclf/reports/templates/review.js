"use strict";
(() => {
const data = JSON.parse(document.getElementById("data").textContent);
const items = data.items;
const KEY = `genreclf review ${data.id}`;
const byId = (id) => document.getElementById(id);
const copyOf = (id) => byId(id).content.firstElementChild.cloneNode(true);
const tracks = byId("tracks");
// Replaces control characters, and those that change the direction of text, as the commands do.
const shown = (text) => text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "\ufffd");
const percent = (share) => `${Math.round(100 * share)}%`;

// --- What the browser keeps: the choices, by the number of the track. ---

// A choice is ["keep"], ["skip"], or ["genre", NAME].
let choices = new Map();
let saved = "";
let current = -1;
let canStore = true;
let isPointer = false;  // whether the user's last event came from a mouse or a finger

function isChoice(choice) {
  return Array.isArray(choice) && (choice.length === 1
    ? choice[0] === "keep" || choice[0] === "skip"
    : choice[0] === "genre" && typeof choice[1] === "string" && choice[1] !== "");
}

function restore() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    for (const [number, choice] of kept.choices ?? [])
      if (items[number] && isChoice(choice)) choices.set(number, choice);
    saved = String(kept.saved ?? "");
    byId("onward").checked = kept.onward === true;
    byId("shortcuts").checked = kept.shortcuts !== false;
    return items[kept.current] ? kept.current : 0;
  } catch {
    return 0;
  }
}

function store() {
  const kept = {
    choices: [...choices], current, saved,
    onward: byId("onward").checked, shortcuts: byId("shortcuts").checked,
  };
  try {
    localStorage.setItem(KEY, JSON.stringify(kept));
    canStore = true;
  } catch {
    canStore = false;
  }
  byId("storage").hidden = canStore;
}

// --- Saving. ---

function corrections() {
  const labels = new Map();  // a path has one label
  for (const [number, [kind, label]] of [...choices].sort(([a], [b]) => a - b))
    if (kind === "genre" && label !== items[number].label) labels.set(items[number].path, label);
  return labels;
}

function cell(text) {
  return /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function csv(labels) {
  const rows = [["path", "label"], ...labels];
  return rows.map((row) => `${row.map(cell).join(",")}\n`).join("");
}

// Encodes text as UTF-8. A lone surrogate stands for a byte of a file name that is not UTF-8.
function bytes(text) {
  const encoder = new TextEncoder();
  return text.split(/([\udc80-\udcff])/u).map((part) => /^[\udc80-\udcff]$/u.test(part)
    ? Uint8Array.of(part.charCodeAt(0) & 0xff) : encoder.encode(part));
}

function save() {
  const labels = corrections();
  if (!labels.size) {
    say("No label is changed yet, so there is nothing to save.");
    return;
  }
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(bytes(csv(labels)), { type: "text/csv" }));
  link.download = "corrections.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  saved = csv(labels);
  store();
  showProgress();
  say(`corrections.csv is saved: ${labels.size === 1 ? "1 label" : `${labels.size} labels`}.`);
}

// --- Playing the excerpts that the model heard. ---

let audio = null;
let parts = [];  // [start, stop] of each excerpt, in seconds
let part = -1;  // number of the excerpt that is playing; -1 outside of all excerpts
let isOver = false;  // whether the last excerpt has ended

function excerpts(item, duration) {
  if (item.spans.length) return item.spans;
  const rule = data.excerpt;
  if (!rule || !Number.isFinite(duration) || duration <= 0) return [];
  const seconds = Math.min(rule.seconds, duration);
  if (rule.start !== null) {
    const start = Math.min(rule.start, duration - seconds);
    return [[start, start + seconds]];
  }
  const n = Math.max(1, Math.min(rule.excerpts, Math.floor(duration / seconds)));
  return Array.from({ length: n }, (_, i) => {
    const middle = (2 * i + 1) * duration / (2 * n);
    const start = Math.max(0, middle - seconds / 2 - rule.earlier);
    return [start, start + seconds];
  });
}

function clock(seconds) {
  const rounded = Math.round(seconds);
  return `${Math.floor(rounded / 60)}:${String(rounded % 60).padStart(2, "0")}`;
}

function describeParts(body) {
  const spans = parts.map(([start, stop]) => `${clock(start)} to ${clock(stop)}`).join(", ");
  const heard = body.querySelector(".heard");
  if (parts.length) heard.textContent = `The model heard ${spans}.`;
  else if (data.excerpt) heard.textContent = "Plays the part that the model heard.";
  else heard.textContent = "The part that the model heard is not known; the track plays from its start.";
}

function toStart() {
  isOver = false;
  if (parts.length) audio.currentTime = parts[0][0];
}

function endExcerpt() {
  if (part < 0 || audio.currentTime < parts[part][1] - 0.05) return;
  if (part + 1 < parts.length) {
    audio.currentTime = parts[part + 1][0];
  } else {
    isOver = true;
    part = -1;
    audio.pause();
  }
}

// Browsers stop at the end of a time fragment, so that of several excerpts has no end.
function fragment() {
  return parts.length ? `#t=${parts.length > 1 ? parts[0][0] : parts[0]}` : "";
}

function preparePlayer(body, item) {
  audio = body.querySelector("audio");
  parts = item.spans;
  part = -1;
  isOver = false;
  const own = audio;
  const on = (event, act) => own.addEventListener(event, () => { if (own === audio) act(); });
  on("loadedmetadata", () => {
    parts = excerpts(item, own.duration);
    describeParts(body);
    toStart();
  });
  on("seeking", () => {
    const now = own.currentTime;
    part = parts.findIndex(([start, stop]) => now >= start - 0.05 && now < stop - 0.05);
  });
  on("timeupdate", endExcerpt);
  on("play", () => { if (isOver) toStart(); showPlaying(body); });
  on("playing", () => { body.querySelector(".fault").hidden = true; });
  on("pause", () => { endExcerpt(); showPlaying(body); });
  on("ended", () => { isOver = true; showPlaying(body); });
  on("error", () => showFault(body, item));
  if (item.uri) audio.src = item.uri + fragment();
  describeParts(body);
}

function showPlaying(body) {
  const button = body.querySelector(".play");
  const isPlaying = !audio.paused;
  button.firstElementChild.textContent = isPlaying ? "❚❚" : "▶";
  button.querySelector(".word").textContent = isPlaying ? "Pause" : "Play";
}

function showFault(body, item) {
  const fault = body.querySelector(".fault");
  fault.textContent = "This file cannot be played here. Either it is not on this computer at "
    + `${item.uri ? decodeAddress(item.uri) : "this path"}, or the browser does not know its format. `
    + "You can still choose.";
  fault.hidden = false;
  showPlaying(body);
}

function decodeAddress(uri) {
  try {
    return shown(decodeURIComponent(uri.replace("file://", "")));
  } catch {
    return uri;
  }
}

function togglePlay() {
  if (!audio) return;
  if (!audio.paused) {
    audio.pause();
    return;
  }
  const body = audio.closest(".body");
  if (!audio.src) {
    showFault(body, items[current]);
    return;
  }
  if (audio.error) audio.load();  // the file may be there by now
  audio.play().catch((error) => {
    if (error.name === "NotSupportedError" && audio?.closest(".body") === body) showFault(body, items[current]);
  });
}

function stopPlayer() {
  if (!audio) return;
  const old = audio;
  audio = null;
  old.pause();
  old.removeAttribute("src");
  old.load();  // closes the file
}

// --- The list. ---

const article = (number) => tracks.children[number].firstElementChild;

function nameOf(path) {
  const [, folder, name] = /^(.*[\\/])?([^\\/]*)$/s.exec(path);
  return [name || folder || "", name ? folder ?? "" : ""];
}

function make(name, className, ...content) {
  const element = document.createElement(name);
  element.className = className;
  element.append(...content);
  return element;
}

function verdict(item) {
  const parts = [];
  if (item.label) parts.push(make("bdi", "", shown(item.label)));
  if (item.prediction) {
    const [genre, share] = item.prediction;
    const arrow = make("span", "soft", "→ ");
    arrow.ariaHidden = "true";
    parts.push(" ", arrow, make("span", "unseen", "predicted "), make("bdi", "", shown(genre)), ` ${percent(share)}`);
  }
  return parts;
}

function makeRow(item, number) {
  const row = copyOf("row");
  const [name, folder] = nameOf(item.path).map(shown);
  const [first, second] = row.querySelectorAll(".name bdi");
  row.querySelector(".number").textContent = number + 1;
  first.textContent = name;
  second.textContent = folder;
  row.querySelector(".verdict").append(...verdict(item));
  row.querySelector(".doubts").append(...item.doubts.flatMap((doubt) => [make("span", "badge", data.doubts[doubt]), " "]));
  row.querySelector("button").addEventListener("click", () => open(number));
  const label = [`Track ${number + 1} of ${items.length}: ${name}`, ...item.doubts.map((d) => data.doubts[d])];
  row.firstElementChild.setAttribute("aria-label", label.join(", "));
  return row;
}

function showState(number) {
  const [kind, label] = choices.get(number) ?? [];
  const row = article(number).querySelector(".row");
  const text = { keep: "kept", skip: "skipped", genre: label && shown(label) }[kind] ?? "";
  row.querySelector(".state").textContent = text && `✓ ${text}`;
  row.dataset.state = kind ?? "";
}

// --- The open track. ---

function open(number) {
  const wasPlaying = audio !== null && !audio.paused;
  close();
  current = number;
  const item = items[number];
  const body = copyOf("body");
  const row = article(number).querySelector(".row");
  row.setAttribute("aria-expanded", "true");
  article(number).setAttribute("aria-current", "true");
  addFacts(body, item);
  addChoices(body, number);
  body.querySelector(".play").addEventListener("click", togglePlay);
  body.querySelector(".previous").addEventListener("click", () => move(-1));
  body.querySelector(".next").addEventListener("click", () => move(1));
  body.querySelector(".undo").addEventListener("click", () => choose(number, null));
  article(number).append(body);
  preparePlayer(body, item);
  showChoice();
  store();
  if (wasPlaying) togglePlay();
}

function close() {
  stopPlayer();
  if (current < 0) return;
  const old = article(current);
  old.querySelector(".body")?.remove();
  old.querySelector(".row").setAttribute("aria-expanded", "false");
  old.removeAttribute("aria-current");
}

function addFact(facts, term, ...texts) {
  const values = texts.flatMap((text, i) => [i ? ", " : "", make("bdi", "", shown(text))]);
  facts.append(make("p", "", make("span", "soft", `${term} `), ...values));
}

function addFacts(body, item) {
  const facts = body.querySelector(".facts");
  if (item.reasons.length)
    addFact(facts, `Why ${shown(item.prediction[0])} (points compared with the average track):`, ...item.reasons.map(
      ([group, share]) => `${group} ${share < 0 ? "−" : "+"}${Math.abs(Math.round(100 * share))}`));
  for (const [path, label] of item.copies)
    addFact(facts, `Copy, ${label ? `labelled ${shown(label)}` : "without a label"}:`, path);
  for (const note of item.notes) addFact(facts, "Note:", note);
  addFact(facts, "File:", item.path);
}

// Returns what one key or click can choose: key, choice, text and probability of each.
function offers(item) {
  const genres = item.genres.map(([genre, share], i) => [i < 9 ? String(i + 1) : "", ["genre", genre], shown(genre), share]);
  const keep = item.label ? [["0", ["keep"], `Keep ${shown(item.label)}`, item.share]] : [];
  return [...keep, ...genres, ["n", ["genre", data.notMusic], "Not music", null], ["s", ["skip"], "Skip", null]];
}

const isSame = (a, b) => JSON.stringify(a) === JSON.stringify(b);

function addChoices(body, number) {
  const chips = body.querySelector(".choices .chips");
  for (const [key, choice, text, share] of offers(items[number])) {
    const chip = copyOf("choice");
    const input = chip.querySelector("input");
    input.value = JSON.stringify(choice);
    input.dataset.key = key;
    chip.querySelector("kbd").textContent = key;
    chip.querySelector("kbd").hidden = !key;
    chip.querySelector("span").textContent = text;
    if (share !== null) {
      chip.querySelector("small").textContent = percent(share);
      chip.style.setProperty("--share", percent(share));
    }
    input.addEventListener("change", () => {
      choose(number, choice);
      if (isPointer) goOn();  // arrow keys choose every genre that they pass
    });
    chips.append(chip);
  }
  const field = body.querySelector(".other input");
  field.addEventListener("change", () => takeTyped(number, field.value.trim()));
}

function takeTyped(number, genre) {
  if (number !== current || genre === typed(number)) return;
  choose(number, genre ? ["genre", genre] : null);
}

function choose(number, choice) {
  if (choice) choices.set(number, choice);
  else choices.delete(number);
  showChoice();
  showState(number);
  showProgress();
  store();
  const text = { keep: "Kept", skip: "Skipped", genre: choice && `Chosen: ${shown(choice[1] ?? "")}` }[choice?.[0]];
  say(`${text ?? "Taken back"}. ${count()} decided.`);
}

function goOn() {
  if (byId("onward").checked) move(1);
}

// Returns the chosen genre if it has no button; the text field shows it.
function typed(number) {
  const choice = choices.get(number);
  const hasButton = offers(items[number]).some(([, offered]) => isSame(offered, choice));
  return choice?.[0] === "genre" && !hasButton ? choice[1] : "";
}

function showChoice() {
  const body = article(current).querySelector(".body");
  const choice = choices.get(current);
  for (const input of body.querySelectorAll(".chips input"))
    input.checked = isSame(JSON.parse(input.value), choice);
  body.querySelector(".other input").value = typed(current);
  body.querySelector(".undo").disabled = !choice;
}

// --- Moving and filtering. ---

const isVisible = (number) => !tracks.children[number].hidden;

function move(step) {
  let number = current + step;
  while (items[number] && !isVisible(number)) number += step;
  if (!items[number]) {
    say(step > 0 ? "This is the last track." : "This is the first track.");
    return;
  }
  open(number);
  article(number).focus({ preventScroll: true });
  tracks.children[number].scrollIntoView({ block: "start" });
}

function passes(number, filter) {
  if (filter === "all") return true;
  return filter === "open" ? !choices.has(number) : items[number].doubts.includes(filter);
}

function applyFilter(filter) {
  items.forEach((_, number) => { tracks.children[number].hidden = !passes(number, filter); });
  const visible = items.map((_, number) => number).filter(isVisible);
  byId("empty").hidden = visible.length > 0;
  if (visible.length && !isVisible(current)) open(visible[0]);
}

function showFilters() {
  for (const input of document.querySelectorAll("#filters input")) {
    const n = items.filter((_, number) => passes(number, input.value)).length;
    input.parentElement.querySelector("small").textContent = n;
    if (data.doubts[input.value]) input.parentElement.hidden = n === 0;
    input.addEventListener("change", () => applyFilter(input.value));
  }
}

// --- Progress and messages. ---

const count = () => `${choices.size} of ${items.length}`;

let silence = 0;

function say(text) {
  byId("status").textContent = text;
  clearTimeout(silence);
  silence = setTimeout(() => { byId("status").textContent = ""; }, 8000);
}

function showProgress() {
  const n = corrections().size;
  byId("bar").value = choices.size;
  byId("count").textContent = count();
  byId("save").textContent = n ? `Save ${n}` : "Save";
  byId("save").ariaLabel = `Save ${n === 1 ? "1 correction" : `${n} corrections`}`;
  byId("save").dataset.saved = n > 0 && csv(corrections()) === saved;
  const open = document.querySelector("#filters input[value=open]");
  open.parentElement.querySelector("small").textContent = items.length - choices.size;
}

// --- Keys. ---

function toggleKeys() {
  const dialog = byId("keys");
  if (dialog.open) {
    dialog.close();
    return;
  }
  dialog.showModal();
  byId("close").focus();  // so that the space bar closes the dialog; the attribute autofocus would also act on loading
}

function isTyping(target) {
  return target.matches("input[type=text], textarea, select, [contenteditable]");
}

// The space bar presses a button that has the focus, and selects a radio button.
function usesSpace(target) {
  return target.matches("button, summary, a, audio, input[type=checkbox], input[type=radio]:not(:checked)");
}

function press(key) {
  const body = article(current).querySelector(".body");
  const button = [...body.querySelectorAll(".chips input")].find((input) => input.dataset.key === key);
  if (button) {
    choose(current, JSON.parse(button.value));
    goOn();
  } else if (key === " ") togglePlay();
  else if (key === "j") move(1);
  else if (key === "k") move(-1);
  else if (key === "u") choose(current, null);
  else if (key === "g") body.querySelector(".other input").focus();
  else return false;
  return true;
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const target = event.target instanceof Element ? event.target : document.body;
  if (isTyping(target)) {
    if (event.key === "Enter") takeTyped(current, target.value.trim());
    else if (event.key !== "Escape") return;
    event.preventDefault();
    const wasTaken = event.key === "Enter" && choices.has(current);
    showChoice();
    article(current).focus({ preventScroll: true });
    if (wasTaken) goOn();
    return;
  }
  if (event.key === "?") {
    event.preventDefault();
    toggleKeys();
    return;
  }
  if (byId("keys").open || !byId("shortcuts").checked || current < 0) return;
  if (event.key === " " && usesSpace(target)) return;
  if (press(event.key.toLowerCase())) event.preventDefault();  // also with caps lock
}

// --- Start. ---

for (const genre of data.genres) {
  const option = document.createElement("option");
  option.value = genre;
  byId("genres").append(option);
}
tracks.append(...items.map(makeRow));
const first = restore();
items.forEach((_, number) => { if (choices.has(number)) showState(number); });
showFilters();
showProgress();
byId("empty").hidden = items.length > 0;
if (items.length) open(first);
byId("save").addEventListener("click", save);
byId("help").addEventListener("click", toggleKeys);
byId("close").addEventListener("click", toggleKeys);
byId("onward").addEventListener("change", store);
byId("shortcuts").addEventListener("change", store);
document.addEventListener("keydown", onKey);
for (const type of ["pointerdown", "keydown"])
  document.addEventListener(type, () => { isPointer = type === "pointerdown"; }, true);
new ResizeObserver(([{ target }]) => {  // keeps the header from covering the track that is opened
  document.documentElement.style.scrollPaddingTop = `${target.offsetHeight + 8}px`;
}).observe(document.querySelector("header"));
window.addEventListener("beforeunload", (event) => {
  if (!canStore && corrections().size && csv(corrections()) !== saved) event.preventDefault();
});
})();
