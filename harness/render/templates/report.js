(() => {
  "use strict";
  const told = JSON.parse(document.getElementById("told").textContent);
  const tip = document.createElement("div");
  tip.id = "tip";
  tip.setAttribute("role", "status");
  tip.hidden = true;
  document.body.append(tip);
  document.getElementById("hint").hidden = false;

  const oldCopy = (text) => {
    const put = (event) => {
      event.clipboardData.setData("text/plain", text);
      event.preventDefault();
    };
    document.addEventListener("copy", put);
    const done = document.execCommand("copy");
    document.removeEventListener("copy", put);
    return done;
  };
  const copy = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      return oldCopy(text);
    }
  };

  const attach = (svg, marks) => {
    const ring = document.createElementNS(svg.namespaceURI, "circle");
    ring.setAttribute("class", "ring");
    ring.setAttribute("r", 5);
    ring.setAttribute("visibility", "hidden");
    svg.append(ring);
    svg.setAttribute("tabindex", "0");
    svg.setAttribute("role", "application");
    const label = svg.getAttribute("aria-label") || "";
    svg.setAttribute("aria-label", `${label} Arrow keys go from mark to mark, Enter copies the id of its run.`);
    const count = marks.of.length;
    const x = (i) => marks.at[2 * i] / 10;
    const y = (i) => marks.at[2 * i + 1] / 10;
    let at = -1;

    const hide = () => {
      at = -1;
      tip.hidden = true;
      tip.replaceChildren();
      ring.setAttribute("visibility", "hidden");
    };
    const show = (i, note) => {
      at = i;
      const [settings, n, ids] = told.runs[marks.of[i]];
      const whose = n === 1 ? `run ${ids[0]}` : `${n} runs: ${ids.slice(0, 3).map((id) => id.slice(0, 8)).join(", ")}${n > 3 ? ", ..." : ""}`;
      const what = marks.what ? `${marks.what} ` : "";
      const hint = n === 1 ? "click or Enter copies its id" : `click or Enter copies ${n > ids.length ? `${ids.length} of ` : ""}their ids`;
      tip.replaceChildren();
      for (const [kind, words] of [["b", what + marks.value[i]], ["div", told.words[marks.where[i]]], ["div", settings], ["div", whose], ["small", note || hint]]) {
        const line = document.createElement(kind);
        line.textContent = words;
        if (words) tip.append(line);
      }
      ring.setAttribute("cx", x(i));
      ring.setAttribute("cy", y(i));
      ring.setAttribute("visibility", "visible");
      tip.hidden = false;
      const spot = new DOMPoint(x(i), y(i)).matrixTransform(svg.getScreenCTM());
      const wide = document.documentElement.clientWidth;
      const high = document.documentElement.clientHeight;
      const left = Math.max(4, Math.min(spot.x + 14, wide - tip.offsetWidth - 4));
      const below = spot.y + 14 + tip.offsetHeight < high;
      tip.style.left = `${left}px`;
      tip.style.top = `${below ? spot.y + 14 : Math.max(4, spot.y - 14 - tip.offsetHeight)}px`;
    };
    const nearest = (event) => {
      const p = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
      let best = -1;
      let least = Infinity;
      for (let i = 0; i < count; i++) {
        const across = Math.abs(x(i) - p.x);
        const up = Math.abs(y(i) - p.y);
        if (across > marks.reach[0] || up > marks.reach[1]) continue;
        const far = across * across + up * up;
        if (far < least) [best, least] = [i, far];
      }
      return best;
    };
    const take = async () => {
      if (at < 0) return;
      const [, n, ids] = told.runs[marks.of[at]];
      const here = at;
      const done = await copy(ids.join(" "));
      if (at !== here) return;
      show(here, done ? (n === 1 ? `copied ${ids[0]}` : `copied ${ids.length} ids`) : `this browser copies nothing: ${ids.join(" ")}`);
    };

    svg.addEventListener("pointermove", (event) => {
      const i = nearest(event);
      if (i < 0) hide();
      else if (i !== at) show(i);
    });
    svg.addEventListener("pointerleave", hide);
    svg.addEventListener("click", (event) => {
      const i = nearest(event);
      if (i >= 0) {
        at = i;
        take();
      }
    });
    svg.addEventListener("focus", () => {
      if (at < 0 && svg.matches(":focus-visible")) show(0);
    });
    svg.addEventListener("blur", hide);
    svg.addEventListener("keydown", (event) => {
      const to = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: count - 1 }[event.key];
      if (to !== undefined) show(Math.max(0, Math.min(count - 1, to)));
      else if (event.key === "Enter") take();
      else if (event.key === "Escape") hide();
      else return;
      event.preventDefault();
    });
  };

  for (const box of document.querySelectorAll(".panel[data-panel]")) {
    const marks = told.panels[box.dataset.panel];
    const svg = box.querySelector("svg");
    if (marks && svg) attach(svg, marks);
  }
})();
