// A map, and its ground, all of it from here: land and borders, names of countries, and a net of degrees, which is there
// at every zoom and so also in the middle of the sea. But with the tiles of another host (MAP_TILES) they are the ground.

const parts = {};

function script(name) {
  parts[name] ??= new Promise((resolve, reject) => {
    const tag = document.createElement("script");
    tag.src = `assets/vendor/${name}`;
    tag.onload = resolve;
    tag.onerror = reject;
    document.head.append(tag);
  });
  return parts[name];
}

const STILL = { zoomAnimation: false, fadeAnimation: false, markerZoomAnimation: false, inertia: false };

// A map in an element, with its ground: `tiles` and whose they are, or ours. None where it is gone before it is there.
async function mapIn(place, { tiles, credit }, state, options = {}) {
  const [countries] = await Promise.all([tiles ? null : countriesOf("world.json"), script("leaflet.js")]);
  if (state.gone) return null;
  const map = L.map(place, {
    renderer: canvas(), worldCopyJump: true, attributionControl: false,
    minZoom: leastZoom(place.clientWidth), maxZoom: 15, zoomSnap: 0.5,
    maxBounds: [[-85.06, -1e4], [85.06, 1e4]], maxBoundsViscosity: 1, // no way into what is beyond the poles
    ...(matchMedia("(prefers-reduced-motion: reduce)").matches ? STILL : {}), ...options,
  });
  state.map = map;
  if (tiles) {
    // Many hosts want to know who asks.
    L.tileLayer(tiles, { maxZoom: 19, referrerPolicy: "origin" }).addTo(map);
    const said = document.createElement("span");
    said.textContent = credit;
    L.control.attribution({ prefix: false }).addAttribution(said.innerHTML).addTo(map);
  } else drawGround(map, countries, getComputedStyle(place), state);
  L.control.scale({ imperial: false }).addTo(map);
  state.size = new ResizeObserver(() => map.invalidateSize());
  state.size.observe(place);
  return map;
}

function markPoint(map, point) {
  map.setView(point, 5);
  L.marker(point, { icon: L.divIcon({ className: "pin", iconSize: [16, 16] }), keyboard: false }).addTo(map);
}

// A small map of one place; returns what ends it.
export function pointMap(place, point, ground) {
  const state = { gone: false };
  mapIn(place, ground, state, { keyboard: false }).then((map) => map && markPoint(map, point), () => {
    place.textContent = "The map cannot be loaded.";
  });
  return () => {
    state.gone = true;
    state.size?.disconnect();
    state.map?.stop().remove();
  };
}

// The zoom at which the world, which is 256 pixels wide at zoom 0, is not quite as wide as the map.
function leastZoom(width) {
  return Math.max(0.5, Math.floor(2 * Math.log2(width / 256) - 1) / 2);
}

// Leaflet forgets that it has asked for a frame when it draws before that comes; it then came to a map that is gone.
function canvas() {
  const made = L.canvas({ padding: 0.5 }); // so far beyond its edges it is drawn: who drags it sees no empty ground
  const redraw = made._redraw;
  made._redraw = () => { if (made._ctx) redraw.call(made); };
  return made;
}

async function json(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(address);
  return answer.json();
}

const FINE = 5; // the zoom from which the finer coast is drawn; it is loaded when it is first needed
const TURNS = [-360, 0, 360]; // the world is drawn again beside itself where the map is wider than it

const outlines = {};

// The countries of a file: name and polygons, each with its rings and its bounds in degrees.
function countriesOf(file) {
  outlines[file] ??= Promise.all([json(`assets/vendor/${file}`), script("topojson-client.min.js")]).then(([world]) =>
    topojson.feature(world, world.objects.countries).features.map(({ properties, geometry }) => ({
      name: properties.name,
      parts: (geometry.type === "Polygon" ? [geometry.coordinates] : geometry.coordinates).map(bounded),
    })));
  outlines[file].catch(() => delete outlines[file]);
  return outlines[file];
}

function bounded(polygon) {
  const rings = polygon.map(unwrapped);
  const part = { rings, west: Infinity, south: Infinity, east: -Infinity, north: -Infinity };
  for (const [lon, lat] of rings[0]) {
    part.west = Math.min(part.west, lon);
    part.east = Math.max(part.east, lon);
    part.south = Math.min(part.south, lat);
    part.north = Math.max(part.north, lat);
  }
  return part;
}

// An outline that goes over the 180th meridian goes on beyond it, and does not come back over the whole map. Antarctica's
// goes once round the Earth: it is closed at the pole.
function unwrapped(ring) {
  let [before, turns] = [ring[0][0], 0];
  const found = ring.map(([lon, lat]) => {
    if (Math.abs(lon - before) > 180) turns += lon < before ? 360 : -360;
    before = lon;
    return [lon + turns, lat];
  });
  const [first, last] = [found[0], found.at(-1)];
  return Math.abs(last[0] - first[0]) > 180 ? [...found, [last[0], -90], [first[0], -90]] : found;
}

// `far` are the countries that are drawn from afar; of `state` only whether the map is gone.
function drawGround(map, far, style, state) {
  const colour = (name) => style.getPropertyValue(name);
  const outline = { interactive: false, fillColor: colour("--land"), fillOpacity: 1, color: colour("--border"), weight: 1 };
  const line = { interactive: false, color: colour("--net"), weight: 1 };
  let [fine, isAsked] = [null, false];
  const [land, net, names] = [L.layerGroup(), L.layerGroup(), L.layerGroup()].map((layer) => layer.addTo(map));
  const [ofFar, ofFine] = [new Map(), new Map()];
  const here = hereControl().addTo(map);
  const draw = () => {
    const isNear = map.getZoom() >= FINE;
    if (isNear && fine) drawLand(map, land, fine, ofFine, outline);
    else drawLand(map, land, far, ofFar, outline);
    drawNet(map, net, line);
    drawNames(map, names, far);
    here.getContainer().textContent = isNear ? countryAt(map.getCenter().wrap(), fine ?? far) : "";
    if (isNear && !isAsked) {
      isAsked = true;
      countriesOf("coast.json").then((found) => {
        fine = found;
        if (!state.gone) draw();
      }, () => { isAsked = false; }); // the coarser coast stays until the next move
    }
  };
  map.on("moveend", draw);
  map.whenReady(draw);
}

// Only what is near the view is a part of the map: to project each island of the Earth takes too long. `known` are the
// layers that were made before.
function drawLand(map, land, countries, known, style) {
  const view = map.getBounds().pad(0.6);
  const shown = new Set();
  for (const { parts } of countries) for (const part of parts) for (const turn of TURNS) {
    if (part.west + turn > view.getEast() || part.east + turn < view.getWest()) continue;
    if (part.south > view.getNorth() || part.north < view.getSouth()) continue;
    if (!known.has(part)) known.set(part, {});
    const layers = known.get(part);
    layers[turn] ??= L.polygon(part.rings.map((ring) => ring.map(([lon, lat]) => [lat, lon + turn])), style);
    shown.add(layers[turn]);
  }
  land.eachLayer((layer) => { if (!shown.has(layer)) land.removeLayer(layer); });
  for (const layer of shown) land.addLayer(layer);
}

const STEPS = [180, 90, 60, 30, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005]; // degrees
const APART = 110; // pixels at least between two lines

function drawNet(map, net, style) {
  const pixels = 256 * 2 ** map.getZoom() / 360;
  const step = STEPS.findLast((step) => step * pixels >= APART) ?? STEPS[0];
  const digits = Math.max(0, Math.ceil(-Math.log10(step)));
  const [view, wide] = [map.getBounds(), map.getBounds().pad(0.5)];
  const [south, north] = [Math.max(wide.getSouth(), -85), Math.min(wide.getNorth(), 85)];
  net.clearLayers();
  const text = (place, side, words) => {
    const label = document.createElement("span");
    label.textContent = words;
    net.addLayer(L.marker(place, {
      icon: L.divIcon({ className: `degrees ${side}`, html: label, iconSize: [0, 0] }), interactive: false, keyboard: false,
    }));
  };
  const degrees = (value, plus, minus) => {
    const shown = Math.abs(value).toFixed(digits);
    return Number(shown) === 0 ? "0°" : `${shown}° ${value > 0 ? plus : minus}`;
  };
  const within = (low, high) => {
    const found = [];
    for (let n = Math.ceil(low / step); n * step <= high; n++) found.push(n * step);
    return found;
  };
  for (const lon of within(wide.getWest(), wide.getEast())) {
    net.addLayer(L.polyline([[south, lon], [north, lon]], style));
    if (view.getWest() < lon && lon < view.getEast()) text([view.getNorth(), lon], "top", degrees(turned(lon), "E", "W"));
  }
  for (const lat of within(south, north)) {
    net.addLayer(L.polyline([[lat, wide.getWest()], [lat, wide.getEast()]], style));
    if (view.getSouth() < lat && lat < view.getNorth()) text([lat, view.getEast()], "right", degrees(lat, "N", "S"));
  }
}

// A longitude within -180 and 180.
function turned(lon) {
  return lon - 360 * Math.round(lon / 360);
}

// A name is shown where its country is about as wide as it.
function drawNames(map, names, countries) {
  const pixels = 256 * 2 ** map.getZoom() / 360;
  const view = map.getBounds();
  names.clearLayers();
  for (const { name, parts } of countries) {
    const { west, south, east, north } = parts.reduce((a, b) => (area(a) >= area(b) ? a : b));
    if ((east - west) * pixels <= 70) continue;
    for (const turn of TURNS) {
      const middle = [(south + north) / 2, (west + east) / 2 + turn];
      if (!view.contains(middle)) continue;
      const label = document.createElement("span");
      label.textContent = name;
      const icon = L.divIcon({ className: "country", html: label, iconSize: [0, 0] });
      names.addLayer(L.marker(middle, { icon, interactive: false, keyboard: false }));
    }
  }
}

function area({ west, south, east, north }) {
  return (east - west) * (north - south);
}

// Names the country in the middle of the map: from near, its own name is out of sight.
function hereControl() {
  const control = L.control({ position: "bottomright" });
  control.onAdd = () => L.DomUtil.create("div", "here");
  return control;
}

function countryAt({ lat, lng }, countries) {
  const isIn = (part) => TURNS.some((turn) => {
    const lon = lng + turn;
    if (lon < part.west || lon > part.east || lat < part.south || lat > part.north) return false;
    return part.rings.reduce((inside, ring) => inside !== isInside(ring, lon, lat), false);
  });
  return countries.find(({ parts }) => parts.some(isIn))?.name ?? "";
}

// Whether a ray from a point crosses a ring an odd number of times.
function isInside(ring, lon, lat) {
  let inside = false;
  for (let at = 0, before = ring.length - 1; at < ring.length; before = at++) {
    const [[x, y], [u, v]] = [ring[at], ring[before]];
    if ((y > lat) !== (v > lat) && lon < ((u - x) * (lat - y)) / (v - y) + x) inside = !inside;
  }
  return inside;
}
