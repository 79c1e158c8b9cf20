"use strict";
/* Draws from the JSON in the page. Text enters as text nodes alone; nothing is fetched or evaluated. */
(() => {
  const at = (id) => document.getElementById(id);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const read = (id) => JSON.parse(at(id).textContent);
  const STRINGS = read("strings");
  const DATA = at("data") ? read("data") : null;
  const root = document.documentElement;
  const tbody = document.querySelector(".board tbody");

  // What can be chosen, and what stands when nothing was.
  const DEFAULTS = {
    lang: /^ja\b/i.test(navigator.language || "") ? "ja" : "en",
    theme: "", q: "", sort: DATA && DATA.average ? "average" : "board", way: "",
    seen: true, unknown: true, dim: false, complete: false, min: "", max: "", nosize: true,
    without: [], hide: [], model: "", x: "", y: "",
  };
  let state = { ...DEFAULTS };

  /* Words */

  const say = (key, values = {}) => {
    const words = STRINGS[key] ? STRINGS[key][state.lang] : key;
    return words.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
  };
  // Controls and characters that turn or hide others are shown by their number.
  const shown = (text) =>
    String(text).replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (c) =>
      `⟨U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`);
  const number = (value, digits = 0) =>
    value.toLocaleString(state.lang, { minimumFractionDigits: digits, maximumFractionDigits: digits });
  const percent = (value) => (100 * value).toFixed(2);
  const figure = (cell) =>
    (100 * cell.value).toFixed(cell.decimals === undefined ? 2 : Math.max(cell.decimals - 2, 0));
  const amount = (value) =>
    value >= 1e9 ? `${(value / 1e9).toFixed(2)}B`
      : value >= 1e7 ? `${(value / 1e6).toFixed(0)}M`
        : value >= 1e6 ? `${(value / 1e6).toFixed(1)}M` : number(value, value % 1 ? 2 : 0);

  /* Elements */

  const SVG = "http://www.w3.org/2000/svg";
  const fill = (node, attributes, children) => {
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (value === true) node.setAttribute(name, "");
      else if (value !== false && value !== undefined) node.setAttribute(name, value);
    }
    node.append(...children.filter((child) => child !== null && child !== undefined));
    return node;
  };
  const el = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
  const svg = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
  const refill = (node, ...children) => { node.replaceChildren(); fill(node, {}, children); };
  const bdi = (text) => el("bdi", { translate: "no" }, shown(text));
  const terms = (pairs) =>
    el("dl", { class: "terms" }, ...pairs.filter(([, value]) => value !== null && value !== undefined && value !== "")
      .map(([term, value]) => el("div", {}, el("dt", {}, say(term)), el("dd", {}, value))));
  const grid = (heads, lines) =>
    el("table", {},
      el("thead", {}, el("tr", {}, ...heads.map((head) => el("th", { scope: "col" }, head)))),
      el("tbody", {}, ...lines.map(([first, ...rest]) =>
        el("tr", {}, el("th", { scope: "row" }, first), ...rest.map((cell) => el("td", {}, cell))))));

  /* The permalink */

  const kinds = (name) => (Array.isArray(DEFAULTS[name]) ? "list" : typeof DEFAULTS[name]);
  const toHash = () => {
    const out = new URLSearchParams();
    for (const [name, value] of Object.entries(state)) {
      if (kinds(name) === "list") value.forEach((one) => out.append(name, one));
      else if (value !== DEFAULTS[name]) out.set(name, kinds(name) === "boolean" ? (value ? "1" : "0") : value);
    }
    return out.toString();
  };
  const fromHash = () => {
    let given;
    try { given = new URLSearchParams(location.hash.slice(1)); } catch { given = new URLSearchParams(); }
    const found = { ...DEFAULTS };
    for (const name of Object.keys(DEFAULTS)) {
      if (!given.has(name)) continue;
      const value = given.get(name);
      if (kinds(name) === "list") found[name] = [...new Set(given.getAll(name))];
      else if (kinds(name) === "boolean") { if (value === "0" || value === "1") found[name] = value === "1"; }
      else found[name] = value;
    }
    return checked(found);
  };
  // Whatever a link says that this page does not know is as if it were not said.
  const checked = (found) => {
    const among = (name, known) => { if (!known.includes(found[name])) found[name] = DEFAULTS[name]; };
    among("lang", ["en", "ja"]);
    among("theme", ["", "light", "dark"]);
    among("way", ["", "up", "down"]);
    found.q = found.q.slice(0, 200);
    for (const name of ["min", "max"]) if (!(found[name].trim() && Number(found[name]) >= 0 && Number(found[name]) < 1e9)) found[name] = "";
    if (!DATA) return found;
    among("sort", orders().map((one) => one.key));
    among("model", rows.map((row) => row.key));
    among("x", ["", ...DATA.costs]);
    among("y", ["", ...scores().map((one) => one.key)]);
    found.hide = found.hide.filter((id) => columns.some((column) => column.id === id));
    if (found.hide.length >= columns.length) found.hide = [];
    found.without = found.without.filter((whose) => families.includes(whose));
    return found;
  };
  const keep = () => {
    const hash = toHash();
    if (hash !== location.hash.slice(1)) {
      try { history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search); } catch { location.hash = hash; }
    }
    // The other pages open in the same language and appearance.
    const shared = new URLSearchParams();
    for (const name of ["lang", "theme"]) if (state[name] !== DEFAULTS[name]) shared.set(name, state[name]);
    for (const link of all("a[data-page]")) link.hash = shared.toString();
  };

  /* Language and appearance */

  let spoken = "";
  const speak = () => {
    root.dataset.theme = state.theme;
    at("theme").value = state.theme;
    if (spoken === state.lang) return;
    spoken = state.lang;
    root.lang = state.lang;
    for (const button of all("[data-lang]")) button.setAttribute("aria-pressed", String(button.dataset.lang === state.lang));
    for (const node of all("[data-t]")) node.textContent = say(node.dataset.t, node.dataset);
    for (const node of all("[data-label]")) node.setAttribute("aria-label", say(node.dataset.label));
    for (const node of all("[data-hint]")) node.setAttribute("placeholder", say(node.dataset.hint));
  };

  /* What the page is about */

  const HERE = "";
  const columns = DATA ? DATA.columns.map((column, index) => ({
    ...column, index, name: column.title || column.task, label: `${column.title || column.task} ${column.measure}`,
  })) : [];
  const trs = DATA && tbody ? [...tbody.rows] : [];
  const rows = DATA ? DATA.rows.map((row, index) => ({
    ...row, index, tr: trs[index],
    key: row.published ? `${row.label} | ${row.published}` : row.label,
    size: row.cost.parameters === undefined ? null : row.cost.parameters,
    text: [row.label, row.model, row.revision, row.adapter, row.published || "measured here ここで測定"].join(" ").normalize("NFKC").toLowerCase(),
  })) : [];
  const families = [...new Set(rows.map((row) => row.published || HERE))].sort();
  const sized = rows.some((row) => row.size !== null);
  // The places of a row's cells: name, size, average, unseen mean, columns, means.
  const averageAt = 1 + (sized ? 1 : 0);
  const unseenAt = averageAt + (DATA && DATA.average ? 1 : 0);
  const firstAt = unseenAt + 1;
  const family = (name) => (name === DATA.imported ? say("imported") : name ? say("published_by", { whose: shown(name) }) : say("measured_here"));
  const whose = (row) => family(row.published);
  const exposureOf = (cell) => (cell.exposure === undefined ? null : DATA.exposures[cell.exposure]);
  const domainOf = (cell) => (exposureOf(cell) || { domain: "unknown" }).domain;
  const counted = (row, index) => {
    const cell = row.cells[index];
    return cell && !cell.apart ? cell.value : null;
  };
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const median = (values) => {
    const sorted = [...values].sort((a, b) => a - b), half = sorted.length >> 1;
    return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
  };

  let inside = [], unseen = [], kept = [];
  const unseenMean = (row) => {
    const values = unseen.map((column) => counted(row, column.index));
    return values.length && values.every((value) => value !== null) ? mean(values) : null;
  };
  const collate = (a, b) => a.localeCompare(b, "en", { numeric: true });
  // Every order that can be asked for: its name, a value of a row, and which way it starts.
  const orders = () => [
    ...(DATA.average ? [{ key: "average", name: shown(DATA.average.name), of: (row) => row.average, way: "down" }] : []),
    { key: "board", name: say("sort_board"), of: (row) => row.index, way: "up" },
    { key: "unseen", name: say("sort_unseen"), of: unseenMean, way: "down" },
    { key: "name", name: say("model"), of: (row) => row.label, way: "up", words: true },
    { key: "source", name: say("source"), of: (row) => row.published || "", way: "up", words: true },
    ...(sized ? [{ key: "size", name: say("size"), of: (row) => row.size, way: "up" }] : []),
    ...columns.map((column) => ({
      key: `column:${column.id}`, name: shown(column.label), column, way: "down",
      of: (row) => counted(row, column.index), held: (row) => row.cells[column.index] !== null,
    })),
  ];
  const order = () => orders().find((one) => one.key === state.sort);
  const wayOf = (one) => state.way || one.way;

  /* Filters */

  const filter = () => {
    const words = state.q.normalize("NFKC").toLowerCase().split(/\s+/).filter(Boolean);
    const least = state.min === "" ? 0 : 1e6 * Number(state.min), most = state.max === "" ? Infinity : 1e6 * Number(state.max);
    return rows.filter((row) => {
      if (!words.every((word) => row.text.includes(word))) return false;
      if (state.without.includes(row.published || HERE)) return false;
      if (row.size === null ? !state.nosize : row.size < least || row.size > most) return false;
      const held = inside.map((column) => row.cells[column.index]);
      if (state.complete && held.some((cell) => cell === null)) return false;
      const domains = held.filter((cell) => cell !== null).map(domainOf);
      if (!state.seen && domains.includes("in-domain")) return false;
      return state.unknown || !domains.includes("unknown");
    });
  };
  // A column counts when something is shown in it and of every shown cell it is stated.
  const unseenBy = (shownRows) => inside.filter((column) => {
    const held = shownRows.map((row) => row.cells[column.index]).filter((cell) => cell !== null);
    return held.length && held.every((cell) => domainOf(cell) === "out-of-domain");
  });

  /* Drawing the table */

  const ordered = (chosen) => {
    const sign = wayOf(chosen) === "down" ? -1 : 1;
    const place = (row, value) => (value !== null ? 0 : chosen.held && chosen.held(row) ? 1 : 2);
    const keyed = rows.map((row) => { const value = chosen.of(row); return { row, value, place: place(row, value) }; });
    keyed.sort((a, b) =>
      a.place - b.place
      || (a.value === null ? 0 : sign * (chosen.words ? collate(a.value, b.value) : a.value - b.value))
      || a.row.index - b.row.index);
    return keyed.map((one) => one.row);
  };

  const put = (node, hidden) => { if (node.hidden !== hidden) node.hidden = hidden; };
  let placed = rows, hiddenColumns = "[[],false]";
  const draw = () => {
    if (!DATA || !trs.length) { speak(); keep(); return; }
    speak();
    inside = columns.filter((column) => !state.hide.includes(column.id));
    kept = filter();
    unseen = unseenBy(kept);
    const chosen = order(), within = new Set(kept), next = ordered(chosen);
    if (next.some((row, i) => row !== placed[i])) {
      placed = next;
      tbody.append(...next.map((row) => row.tr));
    }
    for (const row of rows) put(row.tr, !within.has(row));
    drawColumns(chosen);
    drawBest();
    root.toggleAttribute("data-dim", state.dim);
    rove();
    drawControls(chosen);
    keep();
    if (plotted) plot();
  };

  const drawColumns = (chosen) => {
    const own = chosen.key === "unseen";
    const asked = JSON.stringify([state.hide, own]);
    if (asked !== hiddenColumns) {
      hiddenColumns = asked;
      const hidden = columns.map((column) => state.hide.includes(column.id));
      for (const row of rows) hidden.forEach((is, i) => put(row.tr.cells[firstAt + i], is));
      for (const head of heads) {
        const open = head.columns.filter((column) => !hidden[column.index]);
        put(head.th, !open.length);
        head.th.colSpan = open.length || 1;
        head.th.setAttribute("aria-colspan", open.length || 1);
        head.columns.forEach((column) => put(sorts.get(`column:${column.id}`), hidden[column.index]));
        for (const column of head.columns) {
          const heading = sorts.get(`column:${column.id}`);
          for (const cell of [heading, ...rows.map((row) => row.tr.cells[firstAt + column.index])]) cell.classList.toggle("starts", column === open[0]);
        }
      }
      const widths = DATA.widths.map((width, i) => (i + 1 === unseenAt ? own && 6.5 : !hidden[i + 1 - firstAt] && width)).filter(Boolean);
      const board = tbody.parentElement.style;
      board.setProperty("--tracks", widths.map((width) => `minmax(${width}rem,${width}fr)`).join(" "));
      board.setProperty("--least", `calc(var(--name) + ${widths.reduce((sum, width) => sum + width, 0)}rem)`);
    }
    put(sorts.get("unseen"), !own);
    for (const row of rows) {
      const cell = row.tr.cells[unseenAt];
      put(cell, !own);
      if (own) { const value = unseenMean(row); cell.textContent = value === null ? "" : percent(value); }
    }
    for (const [key, head] of sorts) {
      if (key === chosen.key) head.setAttribute("aria-sort", wayOf(chosen) === "down" ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
  };

  const drawBest = () => {
    for (const column of inside) {
      const values = kept.map((row) => counted(row, column.index)).filter((value) => value !== null);
      const best = values.length > 1 ? Math.max(...values) : null;
      for (const row of kept) row.tr.cells[firstAt + column.index].classList.toggle("best", best !== null && counted(row, column.index) === best);
    }
  };

  // Said after a short rest, so that typing is not spoken letter by letter.
  let saying = 0;
  const announce = (text, rest = 0) => {
    clearTimeout(saying);
    saying = setTimeout(() => { at("state").textContent = text; }, rest);
  };
  const drawControls = (chosen) => {
    const down = wayOf(chosen) === "down";
    const way = say(chosen.words ? (down ? "z_to_a" : "a_to_z") : (down ? "highest" : "lowest"));
    const sorted = chosen.key === "board" ? say("sort_board") : say("sorted", { what: chosen.name, way });
    const text = `${say("shown", { n: kept.length, all: rows.length })}${state.lang === "ja" ? "・" : ", "}${sorted}`;
    announce(text, at("state").textContent ? 120 : 0);
    fillSelect(at("sort"), sortChoices(), state.sort);
    at("turn").textContent = `${down ? "↓" : "↑"} ${way}`;
    at("turn").setAttribute("aria-label", `${say("turn")} (${way})`);
    for (const name of ["q", "min", "max"]) if (at(name).value !== state[name]) at(name).value = state[name];
    for (const name of ["seen", "unknown", "dim", "nosize", "complete"]) at(name).checked = state[name];
    const used = state.without.length + [state.seen, state.unknown, state.nosize].filter((is) => !is).length
      + [state.dim, state.complete, state.min, state.max].filter(Boolean).length;
    const badge = (id, count) => {
      const node = document.querySelector(`[aria-controls="${id}"] .count`);
      put(node, !count);
      node.textContent = String(count);
    };
    badge("filters", used);
    badge("columns", state.hide.length);
    put(at("reset"), !used && !state.hide.length && !state.q && state.sort === DEFAULTS.sort && !state.way);
    put(at("nothing"), kept.length > 0);
    const told = at("unseen");
    put(told, chosen.key !== "unseen");
    const what = unseen.map((column) => shown(column.label)).join(", ");
    told.textContent = unseen.length ? say(unseen.length > 1 ? "unseen_over" : "unseen_one", { n: unseen.length, what }) : say("unseen_none");
    drawChoices();
  };

  const sortChoices = () => {
    const [first, rest] = [orders().filter((one) => !one.column), orders().filter((one) => one.column)];
    return [...first.map((one) => [one.key, one.name]), [say("sort_columns"), rest.map((one) => [one.key, one.name])]];
  };
  // A list of [value, words], or [words of a group, list].
  const fillSelect = (select, choices, value) => {
    const asked = JSON.stringify(choices);
    if (select.asked !== asked) {
      select.asked = asked;
      const option = ([key, words]) => el("option", { value: key }, words);
      select.replaceChildren(...choices.map(([key, words]) =>
        Array.isArray(words) ? el("optgroup", { label: key }, ...words.map(option)) : option([key, words])));
    }
    select.value = value;
  };

  const check = (words, change) =>
    el("label", {}, el("input", { type: "checkbox", onchange: (event) => change(event.target.checked) }), " ", words);
  let choicesIn = "";
  const drawChoices = () => {
    if (choicesIn !== state.lang) {
      choicesIn = state.lang;
      const toggle = (name, one) => (on) => set({ [name]: on ? state[name].filter((other) => other !== one) : [...state[name], one] });
      at("sources").replaceChildren(at("sources").firstElementChild, ...families.map((one) =>
        check(el("bdi", {}, family(one)), toggle("without", one))));
      at("chooser").replaceChildren(...heads.map((head) => el("fieldset", {}, el("legend", {}, bdi(head.columns[0].name)),
        ...head.columns.map((column) => check(bdi(column.measure), toggle("hide", column.id))))));
    }
    all("input", at("sources")).forEach((box, i) => { box.checked = !state.without.includes(families[i]); });
    const boxes = all("input", at("chooser"));
    heads.flatMap((head) => head.columns).forEach((column, i) => {
      boxes[i].checked = !state.hide.includes(column.id);
      boxes[i].disabled = inside.length === 1 && boxes[i].checked;
    });
  };

  const set = (changes) => { state = { ...state, ...changes }; draw(); };

  /* Moving among the figures by keys: one of them is a stop of the Tab key */

  let stop = null;
  const rove = () => {
    if (stop && stop.isConnected && stop.offsetParent) return;
    if (stop) stop.tabIndex = -1;
    stop = kept.length ? placed.find((row) => !row.tr.hidden).tr.querySelector("button") : null;
    if (stop) stop.tabIndex = 0;
  };
  const goTo = (button) => {
    if (stop) stop.tabIndex = -1;
    stop = button;
    stop.tabIndex = 0;
    stop.focus();
  };
  const move = (event) => {
    const button = event.target.closest("tbody button");
    if (!button || event.ctrlKey || event.metaKey || event.altKey) return;
    const cell = button.parentElement, tr = cell.parentElement;
    const line = (row) => [...row.cells].filter((one) => !one.hidden && one.querySelector("button")).map((one) => one.querySelector("button"));
    const same = (row) => {
      const there = row && row.cells[cell.cellIndex].querySelector("button");
      return there || (row && row.cells[0].querySelector("button"));
    };
    const open = () => placed.filter((row) => !row.tr.hidden).map((row) => row.tr);
    const buttons = line(tr), here = buttons.indexOf(button);
    const to = {
      ArrowLeft: () => buttons[here - 1], ArrowRight: () => buttons[here + 1],
      Home: () => buttons[0], End: () => buttons[buttons.length - 1],
      ArrowUp: () => same(open()[open().indexOf(tr) - 1]), ArrowDown: () => same(open()[open().indexOf(tr) + 1]),
    }[event.key];
    if (!to) return;
    event.preventDefault();
    const next = to();
    if (next) goTo(next);
  };

  /* What stands behind a figure, a task, a model */

  const about = at("about");
  let opener = null;
  const open = (button, title, ...children) => {
    if (opener) opener.removeAttribute("aria-expanded");
    const again = opener === button && about.matches(":popover-open");
    if (about.matches(":popover-open")) about.hidePopover();
    if (again) return;
    opener = button;
    refill(about,
      el("header", {}, el("h2", { id: "about-title" }, title),
        el("button", { type: "button", class: "close", "aria-label": say("close"), onclick: () => about.hidePopover() }, "×")),
      ...children);
    about.showPopover();
    button.setAttribute("aria-expanded", "true");
    button.setAttribute("aria-controls", "about");
    place(button);
    about.focus({ preventScroll: true });
  };
  const place = (button) => {
    const box = button.getBoundingClientRect(), width = about.offsetWidth, height = about.offsetHeight;
    const room = document.documentElement.clientWidth, edge = 8;
    if (room < 640) { about.style.left = about.style.top = ""; return; }
    const below = box.bottom + 4 + height <= innerHeight - edge;
    about.style.left = `${Math.max(edge, Math.min(box.left, room - width - edge))}px`;
    about.style.top = `${Math.max(edge, below ? box.bottom + 4 : box.top - height - 4)}px`;
  };

  const said = (one) => {
    const [source, , flag, words, confidence, way, against] = one;
    const aside = [shown(source), way && say("by_way", { way: shown(way) }), say(`confidence_${confidence}`)].filter(Boolean).join(" · ");
    return el("li", {}, el("strong", {}, say(`x_${flag}`)), " ", bdi(words),
      el("small", {}, aside, against ? el("em", {}, ` · ${say("conflicts")}`) : null));
  };
  const exposed = (cell) => {
    const one = exposureOf(cell);
    if (!one) return [el("p", { class: "help" }, say("long_none"))];
    const evidence = one.evidence.map((place) => DATA.evidence[place]);
    return [
      el("p", { class: `domain ${one.domain}` }, el("strong", {}, say(`x_${one.flag}`)), el("span", {}, say(`long_${one.domain}`))),
      evidence.length ? el("ul", { class: "said" }, ...evidence.map(said)) : el("p", { class: "help" }, say("no_evidence")),
    ];
  };
  const ranks = ([low, high]) => say(low === high ? "rank_one" : "rank_value", { low, high });
  const histogram = (counts, what) => {
    const total = counts.reduce((sum, count) => sum + count, 0), most = Math.max(...counts, 1);
    const label = say("histogram", {
      n: number(total), what: shown(what), low: number(counts[0]), high: number(counts[19]), mid: number(total - counts[0] - counts[19]),
    });
    return el("figure", { class: "histogram" },
      el("figcaption", {}, bdi(what)),
      svg("svg", { viewBox: "0 0 200 48", preserveAspectRatio: "none", role: "img", "aria-label": label },
        ...counts.map((count, i) => svg("rect", { x: 10 * i + 1, width: 8, y: 48 - 48 * (count / most), height: count ? Math.max(48 * (count / most), 0.8) : 0 }))),
      el("div", { class: "scale", "aria-hidden": "true" }, el("span", {}, "0"), el("span", {}, `n = ${number(total)}`), el("span", {}, "1")),
      el("details", {}, el("summary", {}, say("as_table")),
        grid([say("step"), say("queries")], counts.map((count, i) => [`${(i / 20).toFixed(2)}–${((i + 1) / 20).toFixed(2)}`, number(count)]))));
  };
  const aboutCell = (button, row, column) => {
    const cell = row.cells[column.index];
    const printed = cell.decimals === undefined ? null : el("small", {}, ` ${say("as_printed")}`);
    open(button, el("span", {}, bdi(column.label), el("small", {}, bdi(row.label))),
      el("p", { class: "large" }, el("b", {}, button.querySelector("b").firstChild.data), printed),
      terms([
        ["whose", whose(row)],
        ["where", cell.source ? bdi(cell.source) : ""],
        ["why_apart", cell.apart ? bdi(cell.apart) : ""],
        ["interval", cell.interval ? `${percent(cell.interval[0])} – ${percent(cell.interval[1])}` : ""],
        ["rank", cell.ranks ? ranks(cell.ranks) : ""],
        ["ties", cell.ties ? say("ties_value", { low: percent(cell.ties[0]), high: percent(cell.ties[1]) }) : ""],
        ["notes", cell.notes ? el("ul", {}, ...cell.notes.map((note) => el("li", {}, bdi(note)))) : ""],
      ]),
      cell.interval ? null : el("p", { class: "help" }, say("no_interval")),
      el("h3", {}, say("exposure")), ...exposed(cell),
      cell.histogram ? histogram(cell.histogram, column.label) : null);
  };
  const defined = (column) => el("dd", {}, say(column.words, { k: column.k }), column.definition ? el("code", {}, shown(column.definition)) : null);
  const aboutTask = (button, head) => {
    const [first] = head.columns, task = DATA.tasks[first.task];
    const counts = task ? Object.entries(task.expects).map(([what, count]) => `${what} ${number(count)}`).join(", ") : "";
    open(button, bdi(first.name),
      terms([
        ["columns", bdi(first.task)], ["version", String(first.version)],
        ...(task ? [["kind", task.kind], ["citation", task.citation ? bdi(task.citation) : ""], ["sources", task.sources.length ? bdi(task.sources.join(", ")) : ""],
          ["expects", counts], ["license", task.license ? bdi(task.license) : ""]] : []),
      ]),
      el("h3", {}, say("def_measures")),
      el("dl", { class: "terms" }, ...head.columns.map((column) => el("div", {}, el("dt", {}, bdi(column.measure)), defined(column)))));
  };

  const profile = at("profile");
  const strip = (row, column) => {
    const values = kept.map((one) => counted(one, column.index)).filter((value) => value !== null);
    const cell = row.cells[column.index], x = (value) => `${(2 + 96 * Math.min(Math.max(value, 0), 1)).toFixed(2)}%`;
    const best = values.length ? Math.max(...values) : null, middle = values.length ? median(values) : null;
    return el("div", { class: "strip" }, svg("svg", { "aria-hidden": "true", height: 28 },
      svg("line", { class: "rail", x1: x(0), x2: x(1), y1: 17, y2: 17 }),
      ...values.map((value) => svg("line", { class: "other", x1: x(value), x2: x(value), y1: 13, y2: 21 })),
      middle === null ? null : svg("line", { class: "median", x1: x(middle), x2: x(middle), y1: 8, y2: 26 }),
      best === null ? null : svg("svg", { x: x(best), y: 4, overflow: "visible" }, svg("path", { class: "top", d: "M0 6 L-4 0 L4 0 Z" })),
      cell && cell.interval ? svg("line", { class: "interval", x1: x(cell.interval[0]), x2: x(cell.interval[1]), y1: 17, y2: 17 }) : null,
      cell ? svg("circle", { class: cell.apart ? "dot hollow" : "dot", cx: x(cell.value), cy: 17, r: 4.5 }) : null));
  };
  const profileRow = (row, column) => {
    const values = kept.map((one) => counted(one, column.index)).filter((value) => value !== null);
    const cell = row.cells[column.index];
    const own = cell ? el("span", {}, el("b", {}, cell.apart ? `[${figure(cell)}]` : figure(cell)),
      cell.interval ? el("small", {}, `${percent(cell.interval[0])}–${percent(cell.interval[1])}`) : null) : "";
    const word = cell && exposureOf(cell) ? el("small", { class: domainOf(cell) }, say(`x_${exposureOf(cell).flag}`)) : null;
    return [el("span", {}, bdi(column.label), word), strip(row, column), own,
      values.length ? percent(median(values)) : "", values.length ? percent(Math.max(...values)) : ""];
  };
  const drawProfile = () => {
    const row = rows.find((one) => one.key === state.model);
    if (!row) { if (profile.open) profile.close(); return; }
    const settings = Object.keys(row.variant).length ? JSON.stringify(row.variant) : "";
    const means = DATA.domains.filter((domain) => row.means[domain]).map((domain) =>
      el("li", {}, `${say(`domain_${domain}`)}: ${say("mean_of", { value: percent(row.means[domain].value), n: row.means[domain].columns })}`));
    const counts = inside.filter((column) => row.cells[column.index] && row.cells[column.index].histogram);
    const select = el("select", { id: "choose", onchange: (event) => choose(event.target.value) });
    fillSelect(select, rows.map((one) => [one.key, shown(one.key)]), row.key);
    refill(profile,
      el("header", {}, el("h2", { id: "profile-title", tabindex: -1, autofocus: true }, bdi(row.label)),
        el("button", { type: "button", class: "close", "aria-label": say("close"), onclick: () => profile.close() }, "×")),
      el("p", { class: "picker" }, el("label", { for: "choose" }, say("choose")), select),
      terms([
        ["whose", whose(row)], ["revision", row.revision ? bdi(row.revision) : ""], ["adapter", row.adapter], ["variant", settings && bdi(settings)],
        ["unprompted", row.unprompted.join(", ")],
        ...DATA.costs.filter((name) => row.cost[name] !== undefined).map((name) => [`cost_${name}`, amount(row.cost[name])]),
        ["average", DATA.average ? el("span", {}, bdi(DATA.average.name), ": ", row.average === null ? say("no_average") : percent(row.average)) : ""],
        ["means", means.length ? el("span", {}, el("ul", {}, ...means), el("small", {}, say("means_help"))) : ""],
      ]),
      row.truncated ? el("p", { class: "help" }, say("truncated", { n: number(row.truncated) })) : null,
      el("h3", {}, say("over")), el("p", { class: "help" }, say("profile_help")),
      el("div", { class: "strips", role: "region", tabindex: "0", "aria-label": say("over") },
        grid([say("column"), el("span", { class: "scale" }, el("span", {}, "0"), el("span", {}, "50"), el("span", {}, "100")), say("figure"), say("median"), say("best")],
          inside.map((column) => profileRow(row, column)))),
      el("h3", {}, say("values")), el("p", { class: "help" }, say(counts.length ? "values_help" : "no_values")),
      el("div", { class: "histograms" }, ...counts.map((column) => histogram(row.cells[column.index].histogram, column.label))));
    if (!profile.open) profile.showModal();
  };
  const choose = (key) => {
    const chosen = document.activeElement && document.activeElement.id === "choose";
    set({ model: key });
    drawProfile();
    if (chosen) at("choose").focus();
  };

  const rowAt = (tr) => rows[trs.indexOf(tr)];
  const press = (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const cell = button.parentElement, sort = cell.dataset.sort;
    if (sort) {
      const one = orders().find((other) => other.key === sort);
      const down = wayOf(one) === "down";
      const turned = state.sort === sort ? (down ? "up" : "down") : "";
      set({ sort, way: turned === one.way ? "" : turned });
      return;
    }
    const head = heads.find((one) => one.th === cell);
    if (head) { aboutTask(button, head); return; }
    const row = rowAt(cell.parentElement);
    if (!row) return;
    goTo(button);
    if (cell.cellIndex === 0) choose(row.key);
    else aboutCell(button, row, columns[cell.cellIndex - firstAt]);
  };

  /* Downloads */

  const guarded = (text) => (/^[=+\-@\t\r]/.test(text) ? `'${text}` : text);
  const quoted = (value) => {
    const text = typeof value === "number" ? String(value) : guarded(String(value));
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const printed = (cell) => (cell.decimals === undefined ? cell.value : Number(cell.value.toFixed(cell.decimals)));
  const toCsv = (taken, over) => {
    const own = ["", " low", " high", " ties low", " ties high", " best rank", " worst rank", " exposure", " apart", " source", " notes"];
    const heads = ["model", "label", "revision", "adapter", "variant", "unprompted", "truncated", "figures", ...DATA.costs,
      ...over.flatMap((column) => own.map((part) => column.id + part)), ...(DATA.average ? [DATA.average.name] : [])];
    const fields = (cell) => (cell === null ? own.map(() => "") : [
      printed(cell), ...(cell.interval || ["", ""]), ...(cell.ties || ["", ""]), ...(cell.ranks || ["", ""]),
      exposureOf(cell) ? exposureOf(cell).flag : "", cell.apart || "", cell.source || "", (cell.notes || []).join("; "),
    ]);
    const lines = taken.map((row) => [
      row.model, row.label, row.revision, row.adapter, Object.keys(row.variant).length ? JSON.stringify(row.variant) : "",
      row.unprompted.join(" "), row.truncated, row.whose,
      ...DATA.costs.map((name) => (row.cost[name] === undefined ? "" : row.cost[name])),
      ...over.flatMap((column) => fields(row.cells[column.index])), ...(DATA.average ? [row.average === null ? "" : row.average] : []),
    ]);
    return [heads, ...lines].map((line) => line.map(quoted).join(",") + "\r\n").join("");
  };
  const EVIDENCE = ["source", "data", "flag", "said", "confidence", "way", "conflicts"];
  const toJson = (taken, over) => {
    const whole = (cell) => {
      const one = exposureOf(cell);
      const evidence = one && one.evidence.map((place) => Object.fromEntries(DATA.evidence[place].map((value, i) => [EVIDENCE[i], value])));
      return { ...cell, exposure: one && { flag: one.flag, domain: one.domain, evidence } };
    };
    return `${JSON.stringify({
      board: DATA.board, average: DATA.average, method: DATA.method,
      columns: over.map(({ id, task, version, measure, title, definition }) => ({ id, task, version, measure, title, definition })),
      rows: taken.map((row) => ({
        ...Object.fromEntries(Object.keys(DATA.rows[row.index]).map((name) => [name, row[name]])),
        cells: Object.fromEntries(over.map((column) => [column.id, row.cells[column.index] && whole(row.cells[column.index])])),
      })),
    }, null, 2)}\n`;
  };
  const download = (kind, everything) => {
    const taken = everything ? rows : placed.filter((row) => kept.includes(row)), over = everything ? columns : inside;
    const text = kind === "csv" ? toCsv(taken, over) : toJson(taken, over);
    const url = URL.createObjectURL(new Blob([text], { type: kind === "csv" ? "text/csv;charset=utf-8" : "application/json" }));
    const link = el("a", { href: url, download: `${DATA.board.id}${everything ? "" : ".shown"}.${kind}` });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  };

  /* The chart: Vega is text until somebody looks */

  const scores = () => [
    ...(DATA.average ? [{ key: "average", name: shown(DATA.average.name), of: (row) => row.average }] : []),
    ...columns.map((column) => ({ key: column.id, name: shown(column.label), of: (row) => counted(row, column.index) })),
  ];
  let plotted = false, plotting = 0;
  const vega = () => {
    if (!window.vegaEmbed) {
      const script = document.createElement("script");
      script.textContent = at("vega").textContent;
      document.head.append(script);
    }
    return window.vegaEmbed;
  };
  const plot = async () => {
    plotted = true;
    const turn = ++plotting;
    const costs = DATA.costs.filter((name) => rows.some((row) => row.cost[name] > 0));
    const y = scores().find((one) => one.key === state.y) || scores()[0], x = costs.includes(state.x) ? state.x : costs[0];
    fillSelect(at("y"), scores().map((one) => [one.key, one.name]), y.key);
    fillSelect(at("x"), costs.map((name) => [name, say(`cost_${name}`)]), x);
    const both = kept.filter((row) => row.cost[x] !== undefined && y.of(row) !== null);
    const points = both.filter((row) => row.cost[x] > 0).map((row) => ({
      row: row.index, x: row.cost[x], y: 100 * y.of(row), whose: row.published ? "published" : "measured",
      label: `${shown(row.label)}\n${whose(row)}\n${percent(y.of(row))} · ${amount(row.cost[x])}`,
    }));
    const without = both.length - points.length;
    at("chart-said").textContent = [say("chart_said", { n: points.length, all: kept.length }), without ? say("chart_zero", { n: without }) : ""].join(" ");
    at("plot-table").querySelector("div").replaceChildren(grid([say("model"), say("whose"), say(`cost_${x}`), y.name],
      both.map((row) => [bdi(row.label), whose(row), amount(row.cost[x]), percent(y.of(row))])));
    put(at("plot"), !points.length);
    if (!points.length) return;
    const styles = getComputedStyle(root), ink = (name) => tone(styles.getPropertyValue(name));
    const spec = structuredClone(DATA.chart);
    spec.datasets = { points };
    spec.encoding.x.title = say(`cost_${x}`);
    spec.encoding.y.title = y.name;
    spec.encoding.stroke.scale.range = [ink("--measured"), ink("--published")];
    spec.encoding.fill.scale.range = [ink("--measured"), ink("--paper")];
    spec.config = {
      background: "transparent", view: { stroke: null }, font: getComputedStyle(document.body).fontFamily,
      axis: { labelColor: ink("--muted"), titleColor: ink("--ink"), gridColor: ink("--line"), domainColor: ink("--line"), tickColor: ink("--line"), labelFontSize: 12, titleFontSize: 12, titleFontWeight: 500, titlePadding: 10 },
    };
    const calm = { ast: true, actions: false, renderer: "svg", defaultStyle: false, tooltip: tip, logLevel: 1 };
    const drawn = await vega()(at("plot"), spec, calm);
    if (turn !== plotting) { drawn.finalize(); return; }
    at("plot").setAttribute("role", "group");
    at("plot").setAttribute("aria-label", say("chart_label", { x: say(`cost_${x}`), y: y.name }));
    drawn.view.addEventListener("click", (event, item) => { if (item && item.datum && rows[item.datum.row]) choose(rows[item.datum.row].key); });
  };
  // A colour as Vega understands it, from one that only the browser does.
  const tone = (value) => {
    const probe = el("span");
    probe.style.color = value;
    document.body.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  };
  const tips = DATA ? el("div", { class: "tip", "aria-hidden": "true", hidden: true }) : null;
  const tip = (handler, event, item, value) => {
    put(tips, !value);
    if (!value) return;
    const lines = String(value.label || Object.values(value)[0] || "").split("\n");
    tips.replaceChildren(...lines.map((line) => el("div", {}, line)));
    tips.style.left = `${Math.min(event.clientX + 14, innerWidth - tips.offsetWidth - 8)}px`;
    tips.style.top = `${Math.min(event.clientY + 14, innerHeight - tips.offsetHeight - 8)}px`;
  };

  /* Beginning */

  const sorts = new Map(all("thead th[data-sort]").map((th) => [th.dataset.sort, th]));
  const heads = [];
  if (DATA) {
    const tops = all("thead th[scope=colgroup].task").filter((th) => th.querySelector("button"));
    let next = 0;
    for (const th of tops) { heads.push({ th, columns: columns.slice(next, next + th.colSpan) }); next += th.colSpan; }
  }
  state = fromHash();
  root.classList.add("js");
  for (const node of all("[data-js]")) node.hidden = false;
  for (const button of all("[data-lang]")) button.addEventListener("click", () => { set({ lang: button.dataset.lang }); if (profile && profile.open) drawProfile(); });
  at("theme").addEventListener("change", (event) => set({ theme: event.target.value }));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (plotted) plot(); });
  addEventListener("hashchange", () => { state = fromHash(); draw(); if (DATA) drawProfile(); });

  if (DATA) {
    document.body.append(tips);
    document.querySelector("main .scroll").addEventListener("click", press);
    document.querySelector("main .scroll").addEventListener("keydown", move);
    about.addEventListener("toggle", (event) => { if (event.newState === "closed" && opener) { opener.removeAttribute("aria-expanded"); } });
    profile.addEventListener("close", () => { set({ model: "" }); if (stop) stop.focus(); });
    profile.addEventListener("click", (event) => { if (event.target === profile) profile.close(); });
    at("q").addEventListener("input", (event) => set({ q: event.target.value }));
    for (const name of ["min", "max"]) at(name).addEventListener("input", (event) => set({ [name]: event.target.value }));
    for (const name of ["seen", "unknown", "dim", "nosize", "complete"]) at(name).addEventListener("change", (event) => set({ [name]: event.target.checked }));
    for (const name of ["x", "y"]) at(name).addEventListener("change", (event) => set({ [name]: event.target.value }));
    at("sort").addEventListener("change", (event) => set({ sort: event.target.value, way: "" }));
    at("turn").addEventListener("click", () => { const one = order(), turned = wayOf(one) === "down" ? "up" : "down"; set({ way: turned === one.way ? "" : turned }); });
    at("all").addEventListener("click", () => set({ hide: [] }));
    at("reset").addEventListener("click", () => { const { lang, theme } = state; state = { ...DEFAULTS, lang, theme }; draw(); at("q").focus(); });
    at("link").addEventListener("click", async () => {
      keep();
      let done = "copied";
      try { await navigator.clipboard.writeText(location.href); } catch { done = "not_copied"; }
      announce(say(done));
    });
    for (const button of all(".tools [aria-controls]")) {
      button.addEventListener("click", () => {
        const opened = button.getAttribute("aria-expanded") === "true";
        for (const other of all(".tools [aria-controls]")) {
          const on = other === button && !opened;
          other.setAttribute("aria-expanded", String(on));
          put(at(other.getAttribute("aria-controls")), !on);
        }
      });
    }
    for (const button of all("[data-get]")) button.addEventListener("click", () => download(button.dataset.get, "all" in button.dataset));
    put(at("size").querySelector(".help"), sized);
    for (const node of all("#size .pair, #size > label")) put(node, !sized);
    put(at("chart").querySelector("p"), Boolean(DATA.chart));
    for (const node of [...all(".axes, .legend", at("chart")), at("chart-said"), at("plot"), at("plot-table")]) put(node, !DATA.chart);
    if (DATA.chart) {
      const seen = new IntersectionObserver((entries) => {
        if (entries.some((entry) => entry.isIntersecting)) { seen.disconnect(); plot(); }
      }, { rootMargin: "200px" });
      seen.observe(at("plot"));
    }
  }
  draw();
  if (DATA && state.model) drawProfile();
  performance.mark("ready");
})();
