// Two pens with the same strokes: one draws on a canvas, one writes SVG.

const SANS = 'Inter, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif';
const SVG_SPACE = ["http:", "", "www.w3.org", "2000", "svg"].join("/"); // a name, never fetched

const ruler = document.createElement("canvas").getContext("2d");

function measure(text, size, weight = 400) {
  ruler.font = `${weight} ${size}px ${SANS}`;
  return ruler.measureText(text).width;
}

function ellipsis(text, size, room) {
  if (measure(text, size) <= room) return text;
  let few = 1, many = text.length;
  while (few < many) {
    const middle = (few + many + 1) >> 1;
    if (measure(text.slice(0, middle) + "…", size) <= room) few = middle;
    else many = middle - 1;
  }
  return text.slice(0, few) + "…";
}

function canvasPen(context) {
  return {
    rect(x, y, w, h, fill) {
      context.fillStyle = fill;
      context.fillRect(x, y, w, h);
    },
    line(points, colour, { width = 1, dash = [] } = {}) {
      context.beginPath();
      points.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.lineJoin = "round";
      context.setLineDash(dash);
      context.stroke();
      context.setLineDash([]);
    },
    area(points, fill, alpha) {
      context.beginPath();
      points.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
      context.closePath();
      context.globalAlpha = alpha;
      context.fillStyle = fill;
      context.fill();
      context.globalAlpha = 1;
    },
    dot(x, y, radius, fill) {
      context.beginPath();
      context.arc(x, y, radius, 0, 2 * Math.PI);
      context.fillStyle = fill;
      context.fill();
    },
    text(x, y, text, colour, { size = 12, anchor = "start", turn = 0, weight = 400 } = {}) {
      context.save();
      context.translate(x, y);
      context.rotate((turn * Math.PI) / 180);
      context.font = `${weight} ${size}px ${SANS}`;
      context.textAlign = anchor === "middle" ? "center" : anchor;
      context.textBaseline = "middle";
      context.fillStyle = colour;
      context.fillText(text, 0, 0);
      context.restore();
    },
    cells(x, y, w, h, rows, cols, bytes) {
      context.imageSmoothingEnabled = false;
      context.drawImage(picture(rows, cols, bytes), x, y, w, h);
    },
  };
}

function picture(rows, cols, bytes) {
  const sheet = document.createElement("canvas");
  sheet.width = cols;
  sheet.height = rows;
  const image = sheet.getContext("2d").createImageData(cols, rows);
  for (let i = 0; i < rows * cols; i++) {
    image.data.set(bytes.subarray(3 * i, 3 * i + 3), 4 * i);
    image.data[4 * i + 3] = 255;
  }
  sheet.getContext("2d").putImageData(image, 0, 0);
  return sheet;
}

function svgPen(width, height) {
  const root = document.createElementNS(SVG_SPACE, "svg");
  const put = (tag, attributes, text) => {
    const node = document.createElementNS(SVG_SPACE, tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    if (text !== undefined) node.textContent = text;
    root.appendChild(node);
  };
  const place = (value) => Math.round(value * 100) / 100;
  const path = (points) => points.map(([x, y]) => `${place(x)},${place(y)}`).join(" ");
  root.setAttribute("width", width);
  root.setAttribute("height", height);
  root.setAttribute("viewBox", `0 0 ${width} ${height}`);
  root.setAttribute("font-family", SANS);
  const pen = {
    rect: (x, y, w, h, fill) =>
      put("rect", { x: place(x), y: place(y), width: place(w), height: place(h), fill, "shape-rendering": "crispEdges" }),
    line: (points, colour, { width: wide = 1, dash = [] } = {}) =>
      put("polyline", {
        points: path(points), fill: "none", stroke: colour, "stroke-width": wide,
        "stroke-linejoin": "round", ...(dash.length ? { "stroke-dasharray": dash.join(" ") } : {}),
      }),
    area: (points, fill, alpha) =>
      put("polygon", { points: path(points), fill, "fill-opacity": alpha }),
    dot: (x, y, radius, fill) => put("circle", { cx: place(x), cy: place(y), r: radius, fill }),
    text: (x, y, text, colour, { size = 12, anchor = "start", turn = 0, weight = 400 } = {}) =>
      put("text", {
        x: place(x), y: place(y), fill: colour, "font-size": size, "font-weight": weight,
        "text-anchor": anchor, "dominant-baseline": "central", "xml:space": "preserve",
        ...(turn ? { transform: `rotate(${turn} ${place(x)} ${place(y)})` } : {}),
      }, text),
    cells(x, y, w, h, rows, cols, bytes) {
      if (rows * cols > 20000) {
        const href = picture(rows, cols, bytes).toDataURL("image/png");
        put("image", { x, y, width: w, height: h, href, preserveAspectRatio: "none", style: "image-rendering:pixelated" });
        return;
      }
      for (let i = 0; i < rows * cols; i++) {
        const row = Math.floor(i / cols), col = i % cols;
        pen.rect(x + (col * w) / cols, y + (row * h) / rows, w / cols, h / rows, hex(bytes, 3 * i));
      }
    },
    root,
    source: () => new XMLSerializer().serializeToString(root),
  };
  return pen;
}

function hex(bytes, at) {
  return "#" + [0, 1, 2].map((k) => bytes[at + k].toString(16).padStart(2, "0")).join("");
}
