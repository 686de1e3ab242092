// Where photos were taken, on a map (photo_ground.js).

const maps = new WeakMap();

export default function ({ data, parentElement, setTriggerValue }) {
  const place = parentElement.querySelector(".map");
  const known = maps.get(place);
  if (known) {
    known.send = (done) => setTriggerValue("place", done);
    return undefined;
  }
  const state = { send: (done) => setTriggerValue("place", done), area: null, isClicked: false, gone: false };
  maps.set(place, state);
  const onBack = () => {
    state.area = null; // that of the address counts
  };
  addEventListener("popstate", onBack);
  place.style.height = `min(${data.height}px, 62vh)`;
  show(place, data, state).catch(() => {
    place.textContent = "The map cannot be loaded.";
  });
  return () => {
    state.gone = true;
    removeEventListener("popstate", onBack);
    state.size?.disconnect();
    state.map?.stop().remove();
    clearTimeout(state.rest); // a map that is stopped comes to rest
    maps.delete(place);
  };
}

async function show(place, data, state) {
  const [map, points] = await Promise.all([
    mapIn(place, data, state), json(data.places), script("supercluster.min.js"),
  ]);
  if (state.gone) return;
  drawPlaces(map, points, data.view, (area) => {
    state.area = area;
    state.isClicked = true; // the map comes nearer then, and that ends with "moveend" too
  });
  map.on("moveend", () => {
    clearTimeout(state.rest);
    if (state.isClicked) rest(map, state);
    else state.rest = setTimeout(() => rest(map, state), REST);
  });
}

// Where the map is goes into the page's address when it rests: in place of where it was, so that Back leaves the map.
// Each message says that and what was clicked last: the page may not have answered the one before, and the new one ends
// that answer.
const REST = 400; // milliseconds

function rest(map, state) {
  const middle = map.getCenter().wrap();
  const view = [Number(middle.lat.toFixed(4)), Number(middle.lng.toFixed(4)), map.getZoom()];
  const address = new URL(location.href);
  address.searchParams.set("at", view.join("_"));
  if (address.href === location.href && !state.isClicked) return;
  state.isClicked = false;
  if (address.href !== location.href) history.replaceState({}, "", address);
  state.send({ area: state.area, view });
}

// To cluster each place of a large library takes a browser a second. From afar it is enough to know them by cells of
// this side (thousandths of a degree): at this zoom, nine pixels.
const CELL = 50;
const AFAR = 8;

// `places` is latitude, longitude (thousandths of a degree) and number of photos, again and again.
function drawPlaces(map, places, view, choose) {
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
    for (const cluster of shown.getClusters(box, Math.round(map.getZoom()))) {
      for (const turn of TURNS) {
        const [lon, lat] = cluster.geometry.coordinates;
        if (bounds.contains([lat, lon + turn])) layer.addLayer(circle(map, shown, cluster, turn, choose));
      }
    }
  };
  map.on("moveend", draw);
  if (view) {
    map.setView([view[0], view[1]], view[2], { animate: false });
  } else if (cells.length) {
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

function circle(map, index, cluster, turn, choose) {
  const [lon, lat] = cluster.geometry.coordinates;
  const count = cluster.properties.n;
  const size = Math.round(24 + 6 * Math.log10(count));
  const label = document.createElement("span");
  label.textContent = count < 10000 ? count : `${Math.round(count / 1000)}k`;
  const icon = L.divIcon({ className: "cluster", html: label, iconSize: [size, size] });
  const marker = L.marker([lat, lon + turn], {
    icon, title: `${count.toLocaleString()} ${count === 1 ? "photo" : "photos"}`,
  });
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
