// Where photos stand: justified rows, and days with few photos side by side. Numbers only, nothing of the page.

const PORTION = 80; // photos, about, that are asked for at once
const LARGE_DAY = 300; // photos: such a day is asked for in pieces
const PIECE = 200;
const HEAD = 34; // pixels above a day's photos, for its date
const GAP = 4; // between photos
const DAY_GAP = 20; // between days of one row
const LEAST_DAY = 104; // a date must be readable
const MOST_STRETCH = 1.35; // of a row, to fill the width
const USUAL = 4 / 3; // width by height of a photo that is not known yet

const rowHeight = (width) => (width < 600 ? 108 : width < 1100 ? 168 : 196);

// The days (newest first, each with its number of photos) in portions: some days together, or a piece of a large one.
// `number` is a portion's place among all of them, `start` that of its first photo among all photos.
function portionsOf(days) {
  const portions = [];
  let open = null;
  let start = 0;
  for (const [day, count] of days) {
    if (count > LARGE_DAY) {
      open = null;
      for (let skip = 0; skip < count; skip += PIECE) {
        portions.push(portion([[day, Math.min(PIECE, count - skip)]], start + skip, skip, skip + PIECE < count));
      }
    } else {
      if (!open || open.count + count > 2 * PORTION || open.count >= PORTION) portions.push((open = portion([], start, 0, false)));
      open.days.push([day, count]);
      open.count += count;
    }
    start += count;
  }
  for (const [number, one] of portions.entries()) one.number = number;
  return portions;
}

// `goesOn`: the day has more photos in the next portion.
function portion(days, start, skip, goesOn) {
  return {
    days, start, skip, goesOn, count: days.reduce((sum, [, count]) => sum + count, 0),
    items: null, height: 0, shape: null, loading: null,
  };
}

// How high a portion will be, before its photos are known.
function roughHeight({ days, skip }, width) {
  const height = rowHeight(width);
  const usual = height * USUAL + GAP;
  let [rows, heads, room] = [0, 0, 0];
  for (const [, count] of days) {
    const needed = Math.max(LEAST_DAY, count * usual);
    if (needed > width) {
      rows += Math.ceil(needed / width);
      heads += skip === 0 ? 1 : 0;
      room = 0;
    } else if (room >= needed + DAY_GAP) {
      room -= needed + DAY_GAP;
    } else {
      rows += 1;
      heads += 1;
      room = width - needed;
    }
  }
  return rows * (height + GAP) + heads * HEAD;
}

// The boxes of a portion's photos and of its dates, and its height.
function shapeOf({ days, skip, goesOn, items }, width) {
  const usual = rowHeight(width);
  const shape = { boxes: [], heads: [], height: 0 };
  let at = 0;
  let shared = []; // days of the row that is being filled: [day, aspects]
  const taken = () => shared.reduce((sum, [, those]) => sum + natural(those, usual), (shared.length - 1) * DAY_GAP);
  const close = (isLast) => {
    if (shared.length) placeShared(shape, shared, width, usual, isLast);
    shared = [];
  };
  for (const [day, count] of days) {
    const those = [];
    for (let n = 0; n < count; n++, at++) those.push(aspectOf(items?.[at]));
    if (natural(those, usual) > width) {
      close(false);
      placeAlone(shape, day, those, width, usual, { hasHead: skip === 0, goesOn });
    } else {
      if (shared.length && taken() + DAY_GAP + natural(those, usual) > width) close(false);
      shared.push([day, those]);
    }
  }
  close(true);
  return shape;
}

function aspectOf(item) {
  if (!item?.width || !item?.height) return USUAL;
  return Math.min(2.6, Math.max(0.5, item.width / item.height));
}

function natural(aspects, height) {
  return Math.max(LEAST_DAY, aspects.reduce((sum, aspect) => sum + aspect * height, (aspects.length - 1) * GAP));
}

function placeShared(shape, days, width, usual, isLast) {
  const photos = days.flatMap(([, aspects]) => aspects);
  const gaps = days.reduce((sum, [, aspects]) => sum + (aspects.length - 1) * GAP, (days.length - 1) * DAY_GAP);
  const fitting = (width - gaps) / photos.reduce((sum, aspect) => sum + aspect * usual, 0);
  const stretch = fitting > MOST_STRETCH ? (isLast ? 1 : MOST_STRETCH) : fitting;
  const wide = days.some(([, aspects]) => natural(aspects, usual) === LEAST_DAY) ? Math.min(stretch, 1) : stretch;
  const height = usual * wide;
  let x = 0;
  for (const [day, aspects] of days) {
    const from = x;
    for (const aspect of aspects) {
      shape.boxes.push({ x, y: shape.height + HEAD, width: aspect * height, height });
      x += aspect * height + GAP;
    }
    x = Math.max(x - GAP, from + LEAST_DAY);
    shape.heads.push({ day, x: from, y: shape.height, width: Math.min(x, width) - from });
    x += DAY_GAP;
  }
  shape.height += HEAD + height + GAP;
}

function placeAlone(shape, day, aspects, width, usual, { hasHead, goesOn }) {
  if (hasHead) {
    shape.heads.push({ day, x: 0, y: shape.height, width });
    shape.height += HEAD;
  }
  const rows = [];
  let row = [];
  for (const aspect of aspects) {
    row.push(aspect);
    if (row.reduce((sum, one) => sum + one * usual, (row.length - 1) * GAP) >= width) {
      rows.push(row);
      row = [];
    }
  }
  // What is left over stands in a row of its own; where the day goes on below, no gap may show where a piece ends.
  if (row.length && goesOn && rows.length) rows.push([...rows.pop(), ...row]);
  else if (row.length) rows.push(row);
  for (const [number, those] of rows.entries()) {
    const fitting = (width - (those.length - 1) * GAP) / those.reduce((sum, aspect) => sum + aspect, 0);
    const height = number === rows.length - 1 && !goesOn ? Math.min(fitting, usual) : fitting;
    let x = 0;
    for (const aspect of those) {
      shape.boxes.push({ x, y: shape.height, width: aspect * height, height });
      x += aspect * height + GAP;
    }
    shape.height += height + GAP;
  }
}

// The first photo of a portion that ends below some pixels from its top. Boxes stand in rows, from above.
function firstBelow({ boxes }, offset) {
  let [low, high] = [0, boxes.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (boxes[middle].y + boxes[middle].height > offset) high = middle;
    else low = middle + 1;
  }
  return low;
}

// The first photo of a portion that begins at some pixels from its top, or below; how many there are where none does.
function firstFrom({ boxes }, offset) {
  let [low, high] = [0, boxes.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (boxes[middle].y >= offset) high = middle;
    else low = middle + 1;
  }
  return low;
}

function headOf(shape, day) {
  return (shape.heads.find((head) => head.day <= day) ?? { y: 0 }).y;
}

// The photo at some pixels below the top of a portion, and pixels from its top; and back.
function anchorAt({ boxes }, offset) {
  const n = Math.max(0, Math.min(firstBelow({ boxes }, offset), boxes.length - 1)); // below all of them: the last
  return { n, delta: offset - (boxes[n]?.y ?? 0) };
}

function offsetOf({ boxes }, { n, delta }) {
  return (boxes[Math.min(n, boxes.length - 1)]?.y ?? 0) + delta;
}

function apart(box, x) {
  return Math.abs(box.x + box.width / 2 - x);
}
