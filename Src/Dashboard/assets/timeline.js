// The months of the library as bars; a click jumps to one.

export default function ({ data, parentElement, setTriggerValue }) {
  const strip = parentElement.querySelector(".timeline");
  const shown = JSON.stringify(data.months);
  if (strip.dataset.shown !== shown) {
    strip.dataset.shown = shown;
    strip.replaceChildren(...years(data.months, (month) => setTriggerValue("month", month)));
  }
  for (const bar of strip.querySelectorAll("button")) {
    const here = bar.dataset.month === data.here;
    if (here && !bar.classList.contains("here")) {
      // Not scrollIntoView: that would move the page too.
      strip.scrollLeft = bar.offsetLeft - strip.clientWidth / 2;
    }
    bar.classList.toggle("here", here);
  }
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
