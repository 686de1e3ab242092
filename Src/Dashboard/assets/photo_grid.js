// A grid of photos by day. What it shows comes from file names and photos: only ever set as text, never as HTML.

export default function ({ data, parentElement, setTriggerValue }) {
  const grid = parentElement.querySelector(".grid");
  const shown = JSON.stringify(data.days);
  if (grid.dataset.shown === shown) return;
  grid.dataset.shown = shown;
  grid.replaceChildren(...data.days.map((day) => section(day, (id) => setTriggerValue("photo", id))));
}

function section(day, choose) {
  const cells = element("div", "cells");
  cells.append(...day.photos.map((photo) => cell(photo, choose)));
  const part = element("section");
  if (day.title) part.append(element("h2", "", day.title));
  part.append(cells);
  return part;
}

function cell(photo, choose) {
  const button = element("button");
  button.type = "button";
  button.title = photo.name;
  const also = `${photo.favourite ? ", a favourite" : ""}${photo.error ? ", with errors" : ""}`;
  button.setAttribute("aria-label", photo.label + also);
  button.addEventListener("click", () => choose(photo.id));
  const image = element("img");
  image.loading = "lazy";
  image.decoding = "async";
  image.alt = "";
  image.addEventListener("load", () => image.classList.add("there"));
  image.src = photo.src;
  button.append(image, element("span", "name", photo.name));
  if (photo.badge) button.append(element("span", "badge", photo.badge));
  if (photo.favourite) button.append(element("span", "favourite", "★"));
  if (photo.error) button.append(element("span", "error", "!"));
  return button;
}

function element(tag, name = "", text = "") {
  const made = document.createElement(tag);
  made.className = name;
  made.textContent = text;
  return made;
}
