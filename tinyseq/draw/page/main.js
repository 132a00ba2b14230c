// The controls, the keys, and the start.

function updateControls() {
  const { circuit, run, scale, most, count } = stage;
  const both = !!circuit && !!run, steps = run?.unrolled.steps.length ?? 0;
  byId("fold").textContent = stage.unfolded ? "Fold" : "Unfold";
  byId("fold").disabled = !both;
  byId("fold").hidden = !both && !stage.level.note;
  byId("fold").title = both ? "Space" : stage.level.note;
  byId("steps-field").hidden = steps < 2 || !run.unrolled.isAxis;
  byId("steps").max = most;
  byId("steps").value = count;
  byId("steps-shown").textContent = `${count} of ${steps}`;
  byId("first-field").hidden = count >= steps || !run.unrolled.isAxis;
  byId("first").max = steps - count + 1;
  byId("first").value = stage.first + 1;
  byId("first-shown").textContent = run?.unrolled.times[stage.unrolled.columns[0]] ?? "";
  byId("gradient-field").hidden = !run || scale.empty;
  byId("gradient").checked = stage.gradient;
  byId("numbers-field").hidden = !MARKS.numbers.size;
  byId("numbers").checked = stage.numbers;
}

function setSteps(count, first = stage.first) {
  if (!stage.run) return;
  Object.assign(stage, { count: Math.max(1, Math.min(count, stage.most)), first, columns: null });
  drawSteps();
  if (stage.u === 1) camera.set(fitted(1));
}

/** One thing at a time is shown as colour: "gradient" or "numbers". */
function setColours(what, on) {
  Object.assign(stage, { gradient: false, numbers: false, [what]: on });
  updateControls();
  paint();
}

function setTheme(theme) {
  const root = document.documentElement;
  stage.theme = theme;
  if (theme) root.dataset.theme = theme;
  root.dataset.shade = isDark() ? "dark" : "light";
  byId("theme").textContent = isDark() ? "Light" : "Dark";
  if (stage.level) paint();
}

const otherTheme = () => setTheme(isDark() ? "light" : "dark");
const fitAll = () => camera.set(camera.fitting(frameAt(stage.u), false));
const help = () => byId("help-text").showModal();

for (const [id, action] of Object.entries({
  fold: toggle, closer: () => camera.zoom(1.3), farther: () => camera.zoom(1 / 1.3), fit: fitAll, theme: otherTheme, help,
})) byId(id).addEventListener("click", action);
byId("steps").addEventListener("input", ({ target }) => setSteps(Number(target.value)));
byId("first").addEventListener("input", ({ target }) => setSteps(stage.count, Number(target.value) - 1));
for (const what of ["gradient", "numbers"]) byId(what).addEventListener("change", ({ target }) => setColours(what, target.checked));
byId("level").addEventListener("change", ({ target }) => {
  openLevel(target.value);
  camera.set(fitted(stage.u));
});
byId("strip").addEventListener("click", ({ offsetX }) => {
  const part = (offsetX - stage.strip.left) / stage.strip.wide;
  setSteps(stage.count, Math.floor(part * stage.run.unrolled.steps.length));
});
prefersDark.addEventListener("change", () => setTheme(stage.theme));
new ResizeObserver(() => camera.byHand || camera.set(fitted(stage.u))).observe(svg);

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const KEYS = {
  " ": toggle, 0: fitAll, d: otherTheme, g: () => setColours("gradient", !stage.gradient),
  n: () => setColours("numbers", !stage.numbers), "?": help,
  "+": () => camera.zoom(1.3), "=": () => camera.zoom(1.3), "-": () => camera.zoom(1 / 1.3), _: () => camera.zoom(1 / 1.3),
  "[": () => setSteps(stage.count - 1), "]": () => setSteps(stage.count + 1),
  "{": () => setSteps(stage.count, stage.first - 1), "}": () => setSteps(stage.count, stage.first + 1),
  Escape: () => { choose([]); showFacts(null); },
};

addEventListener("keydown", (event) => {
  const { key, target } = event;
  if (event.ctrlKey || event.altKey || event.metaKey || byId("help-text").open) return;
  const group = target.closest(".node");
  if (target.closest("input, select, button") && (key in ARROWS || key === " " || key === "Enter")) return;
  if (key in ARROWS) {
    const next = group && neighbour(group, ...ARROWS[key]);
    if (next) focusOn(next);
    else if (!group) camera.pan(...ARROWS[key].map((part) => -60 * part));
  } else if (key === "Enter" && group) pick(group);
  else if (Object.hasOwn(KEYS, key)) KEYS[key]();
  else return;
  event.preventDefault();
});

for (const name of Object.keys(DATA.levels)) html("option", byId("level"), name).value = name;
byId("level").value = DATA.start.level;
byId("level-field").hidden = Object.keys(DATA.levels).length < 2;
stage.unfolded = (DATA.start.unfolded && !!DATA.levels[DATA.start.level].unrolled) || !DATA.levels[DATA.start.level].circuit;
stage.u = stage.unfolded ? 1 : 0;
byId("numbers-name").textContent = MARKS.legend;
if (MARKS.widths.size) byId("widest").textContent = `widest arrow: ${MARKS.widest}`;
setTheme(null);
openLevel(DATA.start.level);
camera.set(fitted(stage.u));
showWays();
svg.dataset.ready = "";
