// The months of the library as bars; a click jumps to one. One stop of the Tab key, however many they are: arrows, Home
// and End go along them (the toolbar pattern of the ARIA practices).

export default function ({ data, parentElement, setTriggerValue }) {
  const strip = parentElement.querySelector(".timeline");
  const shown = JSON.stringify(data.months);
  if (strip.dataset.shown !== shown) {
    strip.dataset.shown = shown;
    strip.setAttribute("role", "toolbar");
    strip.setAttribute("aria-label", "Months: arrow keys move, Enter jumps there");
    strip.replaceChildren(...years(data.months, (month) => setTriggerValue("month", month)));
    strip.onkeydown = (event) => walk(strip, event);
  }
  for (const bar of strip.querySelectorAll("button")) {
    const here = bar.dataset.month === data.here;
    if (here && !bar.classList.contains("here")) {
      // Not scrollIntoView: that would move the page too.
      strip.scrollLeft = bar.offsetLeft - strip.clientWidth / 2;
    }
    bar.classList.toggle("here", here);
    if (here) bar.setAttribute("aria-current", "true");
    else bar.removeAttribute("aria-current");
  }
  if (!strip.contains(document.activeElement) && !strip.getRootNode().activeElement) {
    stop(strip, strip.querySelector("button.here") ?? strip.querySelector("button:last-of-type"));
  }
}

// The one button that the Tab key comes to.
function stop(strip, button) {
  for (const bar of strip.querySelectorAll("button")) bar.tabIndex = -1;
  (button ?? strip.querySelector("button")).tabIndex = 0;
}

function walk(strip, event) {
  const bars = [...strip.querySelectorAll("button")];
  const at = bars.indexOf(event.target);
  const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: bars.length - 1 }[event.key];
  if (at < 0 || to === undefined) return;
  event.preventDefault();
  const bar = bars[Math.max(0, Math.min(bars.length - 1, to))];
  stop(strip, bar);
  bar.focus();
}

function years(months, choose) {
  const most = Math.max(...months.map((month) => month.count));
  const groups = new Map();
  for (const month of months) {
    const year = month.id.slice(0, 4);
    if (!groups.has(year)) groups.set(year, []);
    groups.get(year).push(month);
  }
  return [...groups].map(([year, those]) => {
    const group = document.createElement("div");
    group.className = "year";
    const bars = document.createElement("div");
    bars.className = "bars";
    bars.append(...those.map((month) => bar(month, most, choose)));
    const label = document.createElement("div");
    label.className = "label";
    label.textContent = year;
    group.append(bars, label);
    return group;
  });
}

function bar(month, most, choose) {
  const made = document.createElement("button");
  made.type = "button";
  made.dataset.month = month.id;
  made.title = month.title;
  made.setAttribute("aria-label", month.title);
  // By the root: a month of a hundred photos must be seen beside one of ten thousand.
  made.style.setProperty("--height", `${8 + 92 * Math.sqrt(month.count / most)}%`);
  made.addEventListener("click", () => choose(month.id));
  return made;
}
