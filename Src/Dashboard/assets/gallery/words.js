// Dates and numbers in words, as the dashboard writes them for its viewer.

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

class Words {
  constructor({ month_first: monthFirst, thousands }) {
    [this.monthFirst, this.thousands] = [monthFirst, thousands];
  }

  number(value) {
    return String(value).replace(/\B(?=(\d{3})+$)/g, this.thousands);
  }

  counted(value, noun) {
    return `${this.number(value)} ${noun}${value === 1 ? "" : "s"}`;
  }

  day(iso) {
    const [year, month, day] = iso.split("-").map(Number);
    return this.monthFirst ? `${MONTHS[month - 1]} ${day}, ${year}` : `${day} ${MONTHS[month - 1]} ${year}`;
  }

  weekday(iso) {
    const [year, month, day] = iso.split("-").map(Number);
    const date = new Date(Date.UTC(2000, month - 1, day));
    date.setUTCFullYear(year, month - 1, day); // Date.UTC takes the year 12 for 1912
    return `${DAYS[date.getUTCDay()]}, ${this.day(iso)}`;
  }

  month(iso) {
    const [year, month] = iso.split("-").map(Number);
    return `${MONTHS[month - 1]} ${year}`;
  }

  // What a photo is called to who does not see it.
  label(item) {
    const more = [item.video && (item.length ? `video of ${item.length}` : "video"), item.film && "Live Photo", item.favourite && "favourite",
      item.hidden && "hidden", item.wrong && "with errors"].filter(Boolean);
    return [item.name, this.day(item.taken), ...more].join(", ");
  }
}

function element(tag, name = "", text = "", attributes = {}) {
  const made = document.createElement(tag);
  made.className = name;
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function button(name, text, label, act, attributes = {}) {
  const made = element("button", name, text, { type: "button", ...attributes });
  if (label) made.setAttribute("aria-label", label);
  made.addEventListener("click", act);
  return made;
}

// A picture of the icons that we need, drawn in a box of 24 by 24. `paths` is ours: no data in it, ever.
function icon(paths) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  made.setAttribute("viewBox", "0 0 24 24");
  made.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", paths);
  made.append(path);
  return made;
}

const ICONS = {
  check: "M9 16.2 4.8 12l-1.4 1.4L9 19 21 7l-1.4-1.4z",
  play: "M8 5v14l11-7z",
  pause: "M6 5h4v14H6zm8 0h4v14h-4z",
  download: "M5 20h14v-2H5zM19 9h-4V3H9v6H5l7 7z",
  facts: "M11 7h2v2h-2zm0 4h2v6h-2zm1-9a10 10 0 1 0 0 20 10 10 0 0 0 0-20zm0 18a8 8 0 1 1 0-16 8 8 0 0 1 0 16z",
  left: "M12 5V1L7 6l5 5V7a6 6 0 1 1-6 6H4a8 8 0 1 0 8-8z",
  right: "M12 5V1l5 5-5 5V7a6 6 0 1 0 6 6h2a8 8 0 1 1-8-8z",
  full: "M7 14H5v5h5v-2H7zm-2-4h2V7h3V5H5zm12 7h-3v2h5v-5h-2zM14 5v2h3v3h2V5z",
  star: "m12 17.3 6.2 3.7-1.6-7L22 9.2l-7.2-.6L12 2 9.2 8.6 2 9.2 7.5 14l-1.7 7z",
  live: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zm0-6a10 10 0 1 0 0 20 10 10 0 0 0 0-20zm0 18a8 8 0 1 1 0-16 8 8 0 0 1 0 16z",
  tag: "M21.4 11.6 12.4 2.6A2 2 0 0 0 11 2H4a2 2 0 0 0-2 2v7c0 .6.2 1 .6 1.4l9 9a2 2 0 0 0 2.8 0l7-7a2 2 0 0 0 0-2.8zM6.5 8A1.5 1.5 0 1 1 8 6.5 1.5 1.5 0 0 1 6.5 8z",
  album: "M4 6H2v14a2 2 0 0 0 2 2h14v-2H4zm16-4H8a2 2 0 0 0-2 2v12a2 2 0 0 0 2 2h12a2 2 0 0 0 2-2V4a2 2 0 0 0-2-2zm-1 9h-4v4h-2v-4H9V9h4V5h2v4h4z",
  albumOut: "M4 6H2v14a2 2 0 0 0 2 2h14v-2H4zm16-4H8a2 2 0 0 0-2 2v12a2 2 0 0 0 2 2h12a2 2 0 0 0 2-2V4a2 2 0 0 0-2-2zm-1 9H9V9h10z",
  cover: "M21 19V5a2 2 0 0 0-2-2H5a2 2 0 0 0-2 2v14a2 2 0 0 0 2 2h14a2 2 0 0 0 2-2zM8.500 13.500l2.500 3 3.500-4.500 4.500 6H5z",
  tagOff: "M21.4 11.6 12.4 2.6A2 2 0 0 0 11 2H4a2 2 0 0 0-2 2v7c0 .6.2 1 .6 1.4l9 9a2 2 0 0 0 2.800 0l7-7a2 2 0 0 0 0-2.800zM16 13H8v-2h8z",
  date: "M19 4h-1V2h-2v2H8V2H6v2H5a2 2 0 0 0-2 2v14a2 2 0 0 0 2 2h14a2 2 0 0 0 2-2V6a2 2 0 0 0-2-2zm0 16H5V10h14z",
  eye: "M12 5C7 5 2.7 8.1 1 12.5 2.7 16.9 7 20 12 20s9.3-3.1 11-7.5C21.3 8.1 17 5 12 5zm0 12.5a5 5 0 1 1 0-10 5 5 0 0 1 0 10zm0-8a3 3 0 1 0 0 6 3 3 0 0 0 0-6z",
  hide: "M2.8 2.8 1.4 4.2l4 4A12 12 0 0 0 1 12.5C2.7 16.9 7 20 12 20c1.6 0 3-.3 4.4-.9l3.400 3.400 1.400-1.400zM12 17.500a5 5 0 0 1-4.500-7.100l1.600 1.600v.500a3 3 0 0 0 3 3h.500l1.600 1.600c-.7.300-1.400.400-2.200.400zM12 7.500a5 5 0 0 1 5 5c0 .600-.100 1.200-.300 1.700l2.900 2.900a12 12 0 0 0 3.400-4.600C21.300 8.100 17 5 12 5c-1.400 0-2.700.200-4 .700l2.200 2.200c.500-.300 1.200-.400 1.800-.400z",
  trash: "M6 19a2 2 0 0 0 2 2h8a2 2 0 0 0 2-2V7H6zM19 4h-3.500l-1-1h-5l-1 1H5v2h14z",
  edit: "M3 17.2V21h3.800L17.800 9.900l-3.700-3.700zM20.700 7a1 1 0 0 0 0-1.400l-2.300-2.300a1 1 0 0 0-1.400 0l-1.800 1.800 3.700 3.700z",
  close: "m19 6.4-1.4-1.4-5.6 5.6L6.4 5 5 6.4l5.6 5.6L5 17.6 6.4 19l5.6-5.6 5.6 5.6 1.4-1.4-5.6-5.6z",
};
