// Where photos were taken, on an outline of the world that comes from here: no other host is asked for anything. But with
// the tiles of another (MAP_TILES) they are the ground.

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

const maps = new WeakMap();

export default function ({ data, parentElement, setTriggerValue }) {
  const place = parentElement.querySelector(".map");
  const known = maps.get(place);
  if (known) {
    known.choose = (area) => setTriggerValue("area", area);
    return undefined;
  }
  const state = { choose: (area) => setTriggerValue("area", area), gone: false };
  maps.set(place, state);
  place.style.height = `min(${data.height}px, 62vh)`;
  show(place, data, state).catch(() => {
    place.textContent = "The map cannot be loaded.";
  });
  return () => {
    state.gone = true;
    state.size?.disconnect();
    state.map?.stop().remove();
    maps.delete(place);
  };
}

async function show(place, data, state) {
  const [points, world] = await Promise.all([
    data.point ? null : json(data.places),
    data.tiles ? null : json("assets/vendor/world.json"),
    ...["leaflet.js", "supercluster.min.js", "topojson-client.min.js"].map(script),
  ]);
  if (state.gone) return;
  const map = L.map(place, {
    renderer: canvas(), worldCopyJump: true, minZoom: 0.5, maxZoom: 15, zoomSnap: 0.5, attributionControl: false,
  });
  state.map = map;
  if (data.tiles) {
    // Many hosts want to know who asks.
    L.tileLayer(data.tiles, { maxZoom: 19, referrerPolicy: "origin" }).addTo(map);
    const credit = document.createElement("span");
    credit.textContent = data.credit;
    L.control.attribution({ prefix: false }).addAttribution(credit.innerHTML).addTo(map);
  } else drawWorld(map, topojson.feature(world, world.objects.countries), getComputedStyle(place));
  L.control.scale({ imperial: false }).addTo(map);
  if (data.point) {
    map.setView(data.point, 5);
    L.marker(data.point, { icon: L.divIcon({ className: "pin", iconSize: [16, 16] }), keyboard: false }).addTo(map);
  } else {
    drawPlaces(map, points, (area) => state.choose(area));
  }
  state.size = new ResizeObserver(() => map.invalidateSize());
  state.size.observe(place);
}

// Leaflet forgets that it has asked for a frame when it draws before that comes; it then came to a map that is gone.
function canvas() {
  const made = L.canvas();
  const redraw = made._redraw;
  made._redraw = () => { if (made._ctx) redraw.call(made); };
  return made;
}

async function json(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(address);
  return answer.json();
}

// An outline that goes over the 180th meridian goes on beyond it, and does not come back over the whole map.
function unwrapped(ring) {
  let [before, turns] = [ring[0][0], 0];
  return ring.map(([lon, lat]) => {
    if (Math.abs(lon - before) > 180) turns += lon < before ? 360 : -360;
    before = lon;
    return [lon + turns, lat];
  });
}

function drawWorld(map, countries, style) {
  const colour = (name) => style.getPropertyValue(name);
  for (const { geometry } of countries.features) {
    const polygons = geometry.type === "Polygon" ? [geometry.coordinates] : geometry.coordinates;
    for (const polygon of polygons) polygon.forEach((ring, at) => { polygon[at] = unwrapped(ring); });
  }
  L.geoJSON(countries, {
    interactive: false,
    style: { fillColor: colour("--land"), fillOpacity: 1, color: colour("--border"), weight: 1 },
  }).addTo(map);
  const names = L.layerGroup();
  for (const country of countries.features) {
    const bounds = largestPart(country.geometry);
    const label = document.createElement("span");
    label.textContent = country.properties.name;
    const icon = L.divIcon({ className: "country", html: label, iconSize: [0, 0] });
    const marker = L.marker(bounds.getCenter(), { icon, interactive: false, keyboard: false });
    marker.width = bounds.getEast() - bounds.getWest();
    names.addLayer(marker);
  }
  const update = () => {
    // A name is shown where its country is about as wide as it.
    const pixels = 256 * 2 ** map.getZoom() / 360;
    names.eachLayer((marker) => marker.setOpacity(marker.width * pixels > 70 ? 1 : 0));
  };
  names.addTo(map);
  map.on("zoomend", update);
  map.whenReady(update);
}

function largestPart(geometry) {
  const outlines = geometry.type === "Polygon" ? [geometry.coordinates[0]] : geometry.coordinates.map((part) => part[0]);
  const boxes = outlines.map((ring) => L.latLngBounds(ring.map(([lon, lat]) => [lat, lon])));
  const area = (box) => (box.getEast() - box.getWest()) * (box.getNorth() - box.getSouth());
  return boxes.reduce((a, b) => (area(a) >= area(b) ? a : b));
}

// To cluster each place of a large library takes a browser a second. From afar it is enough to know them by cells of
// this side (thousandths of a degree): at this zoom, nine pixels.
const CELL = 50;
const AFAR = 8;

// `places` is latitude, longitude (thousandths of a degree) and number of photos, again and again.
function drawPlaces(map, places, choose) {
  const cells = gathered(places, CELL);
  const afar = clustered(cells, AFAR);
  let near;
  const index = () => {
    if (Math.round(map.getZoom()) <= AFAR) return afar;
    return near ??= clustered(gathered(places, 1), 14);
  };
  const layer = L.layerGroup().addTo(map);
  const draw = () => {
    const bounds = map.getBounds();
    const box = [bounds.getWest(), bounds.getSouth(), bounds.getEast(), bounds.getNorth()];
    const shown = index();
    layer.clearLayers();
    for (const cluster of shown.getClusters(box, Math.round(map.getZoom()))) layer.addLayer(circle(map, shown, cluster, choose));
  };
  map.on("moveend", draw);
  if (cells.length) {
    map.fitBounds(around(cells).pad(0.1), { maxZoom: 9, animate: false });
  } else {
    map.setView([25, 10], 1.5);
  }
}

// One feature for each cell in which there are photos: where in the middle they are, how many, and within which bounds.
function gathered(places, side) {
  const cells = new Map();
  for (let at = 0; at < places.length; at += 3) {
    const [lat, lon, n] = [places[at], places[at + 1], places[at + 2]];
    const key = Math.floor(lat / side) * 1e6 + Math.floor(lon / side);
    const known = cells.get(key);
    if (known) {
      known.n += n;
      known.lat += lat * n;
      known.lon += lon * n;
      known.south = Math.min(known.south, lat);
      known.north = Math.max(known.north, lat);
      known.west = Math.min(known.west, lon);
      known.east = Math.max(known.east, lon);
    } else {
      cells.set(key, { n, lat: lat * n, lon: lon * n, south: lat, north: lat, west: lon, east: lon });
    }
  }
  return Array.from(cells.values(), (cell) => ({
    type: "Feature", properties: cell,
    geometry: { type: "Point", coordinates: [cell.lon / cell.n / 1000, cell.lat / cell.n / 1000] },
  }));
}

function clustered(features, maxZoom) {
  return new Supercluster({
    radius: 72, maxZoom, map: ({ n }) => ({ n }), reduce: (sum, { n }) => { sum.n += n; },
  }).load(features);
}

function around(features) {
  const bounds = L.latLngBounds([]);
  for (const { properties: { south, west, north, east } } of features) {
    bounds.extend([south / 1000, west / 1000]).extend([north / 1000, east / 1000]);
  }
  return bounds;
}

function circle(map, index, cluster, choose) {
  const [lon, lat] = cluster.geometry.coordinates;
  const count = cluster.properties.n;
  const size = Math.round(24 + 6 * Math.log10(count));
  const label = document.createElement("span");
  label.textContent = count < 10000 ? count : `${Math.round(count / 1000)}k`;
  const icon = L.divIcon({ className: "cluster", html: label, iconSize: [size, size] });
  const marker = L.marker([lat, lon], { icon, title: `${count.toLocaleString("en")} ${count === 1 ? "photo" : "photos"}` });
  marker.on("click", () => {
    const inside = cluster.properties.cluster ? index.getLeaves(cluster.properties.cluster_id, Infinity) : [cluster];
    const bounds = around(inside);
    const edge = (value) => Math.round(value * 1000);
    choose({
      south: edge(bounds.getSouth()), west: edge(bounds.getWest()),
      north: edge(bounds.getNorth()), east: edge(bounds.getEast()),
    });
    map.fitBounds(bounds.pad(0.2), { maxZoom: Math.max(map.getZoom(), 13) });
  });
  return marker;
}
