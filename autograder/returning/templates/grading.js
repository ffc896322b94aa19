"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const stored = (key) => `adamw_pset ${data.course} ${key}`;
let question = data.questions.find((each) => each.answers.length) || data.questions[0];
let place = 0;
let named = false;

// --- what is kept: a mark {picked, score, comment} for each answer, and comments for each question ---

function read(key, otherwise) {
  try { return JSON.parse(localStorage.getItem(stored(key))) ?? otherwise; } catch { return otherwise; }
}
function write(key, value) {
  try { localStorage.setItem(stored(key), JSON.stringify(value)); } catch {
    at("kept").textContent = "This browser keeps nothing: save marks.csv before you close the page.";
  }
}
for (const each of data.questions) {
  for (const answer of each.answers) {
    const text = answer.score === null ? "" : String(answer.score);
    answer.mark = read(answer.key, { picked: [], score: text, comment: answer.comment });
  }
  each.comments = read(each.name, []);
}

// --- numbers ---

function points(text) {  // of a field; null: none, NaN: no number, or not from 0 to the most
  if (!text.trim()) return null;
  const value = Number(text.replace(",", "."));
  return value >= 0 && value <= question.points ? value : NaN;
}
const marked = (answer) => answer.mark.score.trim() !== "";

// --- the page ---

function element(kind, text, onclick) {
  const made = document.createElement(kind);
  made.textContent = text;
  if (onclick) { made.type = "button"; made.addEventListener("click", onclick); }
  return made;
}

function show() {
  const answer = question.answers[place];
  at("questions").replaceChildren(...data.questions.map((each) => {
    const done = each.answers.filter(marked).length;
    const button = element("button", `${each.title}: ${done} of ${each.answers.length}`, () => go(each, 0));
    button.setAttribute("aria-pressed", String(each === question));
    button.disabled = each.answers.length === 0;
    return button;
  }));
  const all = data.questions.flatMap((each) => each.answers);
  at("progress").textContent = `${all.filter(marked).length} of ${all.length} answers have a mark.`;
  at("title").textContent = question.title;
  at("most").textContent = question.points;
  at("model").innerHTML = question.model;
  at("limits").textContent = question.limits.join(" ");
  if (!answer) { at("which").textContent = "No answer to this question waits."; return; }
  const same = answer.students.length > 1 ? `, given by ${answer.students.length}` : "";
  at("which").textContent = `Answer ${place + 1} of ${question.answers.length}${same}`;
  at("who").textContent = answer.students.join(", ");
  at("who").hidden = !named;
  at("text").innerHTML = answer.html;
  at("pictures").replaceChildren(...answer.pictures.map((picture, number) => {
    const image = element("img", "");
    image.src = `data:image/png;base64,${picture}`;
    image.alt = `picture ${number + 1}, as handed in`;
    image.className = "handed";
    return image;
  }));
  at("score").value = answer.mark.score;
  at("comment").value = answer.mark.comment;
  at("items").replaceChildren(...question.items.map(([what, worth], number) => {
    const button = element("button", `${number + 1}  ${what}: ${worth}`, () => pick(number));
    button.setAttribute("aria-pressed", String(answer.mark.picked.includes(number)));
    return button;
  }));
  at("comments").replaceChildren(...question.comments.map((text, number) => {
    const line = element("p", "");
    line.append(element("button", `${number + 1}  ${text}`, () => add(number)), " ",
      element("button", "forget", () => { question.comments.splice(number, 1); write(question.name, question.comments); show(); }));
    return line;
  }));
  say();
}

function say() {
  at("wrong").textContent = Number.isNaN(points(at("score").value) ?? 0) ? `should be from 0 to ${question.points}` : "";
}

function go(to, where) {
  question = to;
  place = Math.max(0, Math.min(where, question.answers.length - 1));
  show();
  window.scrollTo(0, 0);
}

function nextOpen() {
  const order = [...data.questions.slice(data.questions.indexOf(question)), ...data.questions];
  for (const each of order) {
    const start = each === question ? place + 1 : 0;
    const found = each.answers.findIndex((answer, number) => number >= start && !marked(answer));
    if (found >= 0) { go(each, found); return; }
  }
  const first = question.answers.findIndex((answer) => !marked(answer));
  if (first >= 0) go(question, first);
}

// --- marks ---

function keepMark(change) {
  const answer = question.answers[place];
  if (!answer) return;
  Object.assign(answer.mark, change);
  write(answer.key, answer.mark);
}
function picked(numbers) {
  const sum = numbers.reduce((total, number) => total + question.items[number][1], 0);
  keepMark({ picked: numbers, score: String(Math.min(question.points, Math.round(sum * 100) / 100)) });
  show();
}
function pick(number) {
  if (number >= question.items.length || !question.answers[place]) return;
  const now = question.answers[place].mark.picked;
  picked(now.includes(number) ? now.filter((other) => other !== number) : [...now, number].sort());
}
function add(number) {
  if (number >= question.comments.length || !question.answers[place]) return;
  const now = question.answers[place].mark.comment.trim();
  keepMark({ comment: now ? `${now}\n${question.comments[number]}` : question.comments[number] });
  show();
}
function keepComment() {
  const text = at("comment").value.trim();
  if (text && !question.comments.includes(text)) {
    question.comments.push(text);
    write(question.name, question.comments);
    show();
  }
}

// --- marks.csv, as it is read again: what a spreadsheet would take for a formula gets an apostrophe ---

function cell(value) {
  const safe = String(value).replace(/(^|[;\t\r\n] *)(?='*[=+\-@＝＋－＠\t\r\n])/g, "$1'");
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
function csv() {
  const lines = [["student", "question", "score", "comment"]];
  for (const each of data.questions) {
    for (const answer of each.answers) {
      const value = Number(answer.mark.score.replace(",", "."));
      const good = marked(answer) && value >= 0 && value <= each.points;
      if (!good && !answer.mark.comment.trim()) continue;
      for (const student of answer.students) {
        lines.push([student, each.name, good ? value : "", answer.mark.comment.trim()]);
      }
    }
  }
  for (const other of data.others) lines.push(other.map((value) => value ?? ""));  // marks for what is not on this page
  return lines.map((line) => line.map(cell).join(",") + "\r\n").join("");
}
function save() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
  link.download = "marks.csv";
  link.click();
}

// --- the keyboard first ---

at("score").addEventListener("input", () => {
  say();
  const text = at("score").value;
  if (!Number.isNaN(points(text) ?? 0)) keepMark({ score: text.trim(), picked: [] });
});
at("score").addEventListener("change", show);
at("comment").addEventListener("input", () => keepMark({ comment: at("comment").value }));
const names = () => { named = !named; at("names").setAttribute("aria-pressed", String(named)); show(); };
const keys = {
  ArrowLeft: () => go(question, place - 1), ArrowRight: () => go(question, place + 1), Enter: nextOpen,
  f: () => question.answers[place] && picked(question.items.map((_, number) => number)), 0: () => picked([]),
  c: () => at("comment").focus(), k: keepComment, n: names, s: save,
};
const buttons = { previous: keys.ArrowLeft, next: keys.ArrowRight, open: nextOpen, save, names, keep: keepComment };
for (const [id, action] of Object.entries(buttons)) at(id).addEventListener("click", action);
document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input, textarea");
  const digit = /^Digit([1-9])$/.exec(event.code);
  if (event.altKey && digit) { add(Number(digit[1]) - 1); event.preventDefault(); return; }
  if (event.key === "Escape") { event.target.blur(); return; }
  if (event.target.matches("input") && event.key === "Enter") event.target.blur();
  else if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Enter" && event.target.matches("button")) return;
  if (/^[1-9]$/.test(event.key)) pick(Number(event.key) - 1);
  else if (keys[event.key]) keys[event.key]();
  else return;
  event.preventDefault();
});
show();
