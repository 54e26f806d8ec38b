// Lines over time, drawn as SVG: one a second from right to left.
import { svg } from "./dom.js";
import { count, plural, speed } from "./format.js";
import { roundUp } from "./metrics.js";

const WIDTH = 600;
const HEIGHT = 160;

// The path of a line; values that are not known (null) leave a gap.
export function linePath(values, top) {
  const step = WIDTH / (values.length - 1);
  let path = "";
  let pen = "M";
  values.forEach((value, at) => {
    if (value === null) {
      pen = "M";
      return;
    }
    path += `${pen}${(at * step).toFixed(1)} ${(HEIGHT - (Math.min(value, top) / top) * HEIGHT).toFixed(1)}`;
    pen = "L";
  });
  return path;
}

// `series`: [{ name, values, className }]; the result draws them again.
export function chart(container, series) {
  const lines = series.map(({ className }) => svg("path", { class: `line ${className}`, "vector-effect": "non-scaling-stroke" }));
  const grid = [0, 0.5, 1].map((share) =>
    svg("line", { x1: 0, x2: WIDTH, y1: HEIGHT * share, y2: HEIGHT * share, class: "grid-line", "vector-effect": "non-scaling-stroke" }),
  );
  const picture = svg("svg", { viewBox: `0 -2 ${WIDTH} ${HEIGHT + 4}`, preserveAspectRatio: "none", role: "img" }, ...grid, ...lines);
  const scale = [1, 0.5, 0].map(() => document.createElement("span"));
  const labels = document.createElement("div");
  labels.className = "scale";
  labels.setAttribute("aria-hidden", "true");
  labels.append(...scale);
  container.append(labels, picture);
  return () => {
    const most = Math.max(1, ...series.flatMap(({ values }) => values.map((value) => value ?? 0)));
    const top = roundUp(most * 1.05);
    lines.forEach((line, at) => line.setAttribute("d", linePath(series[at].values, top)));
    [top, top / 2, 0].forEach((value, at) => (scale[at].textContent = value >= 10 || value === 0 ? count(value) : String(value)));
    const now = series.map(({ name, values }) => `${name} ${speed(values.at(-1) ?? 0)}`);
    picture.setAttribute("aria-label", `${now.join(", ")} now; at most ${speed(most)} in the last ${plural(series[0].values.length / 60, "minute")}`);
  };
}
