"use strict";
// Hides what was not asked for. Without scripts the form stays hidden, and all is shown.
(() => {
  const form = document.getElementById("filter");
  const of = (id) => document.getElementById("filter-" + id);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const groups = all("details.group").map((element) => ({
    element,
    open: element.open,
    name: element.dataset.group.toLowerCase(),
    rules: all(".rule", element).map((rule) => ({ rule, text: rule.textContent.toLowerCase() })),
  }));

  function apply() {
    const [network, cluster, group] = ["network", "cluster", "group"].map((id) => of(id).value);
    const words = of("text").value.toLowerCase().split(/\s+/).filter(Boolean);
    const boxes = all("input[name=standing]", form);
    const standings = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    const everything = standings.size === boxes.length;
    const narrowed = words.length > 0 || !everything;
    // Paper has no form, but says that not all is on it.
    form.classList.toggle("narrowed", narrowed || Boolean(network || cluster || group));
    const place = ({ dataset }) =>
      (!network || dataset.network === network) && (!cluster || dataset.clusters.split(" ").includes(cluster));

    let shown = 0;
    let total = 0;
    for (const { element, open, name, rules } of groups) {
      const here = place(element) && (!group || element.dataset.group === group);
      let left = 0;
      for (const { rule, text } of rules) {
        const found = words.every((word) => text.includes(word) || name.includes(word));
        rule.hidden = !(found && standings.has(rule.dataset.standing));
        left += rule.hidden ? 0 : 1;
      }
      element.hidden = !here || (narrowed && left === 0);
      element.open = narrowed && left > 0 ? true : open;
      shown += here ? left : 0;
      total += rules.length;
    }

    for (const block of all("#matrix .block")) {
      const inside = all("[data-group]", block);
      inside.forEach((cell) => (cell.hidden = Boolean(group) && cell.dataset.group !== group));
      block.hidden = !place(block) || inside.every((cell) => cell.hidden);
    }
    all("#matrix .part").forEach((part) => (part.hidden = !standings.has(part.dataset.standing)));
    for (const block of all("#picture .block")) block.hidden = Boolean(network) && block.dataset.network !== network;
    for (const edge of all("#picture .edge")) {
      const { standing, from, to } = edge.dataset;
      const hide = !standings.has(standing) || (group && from !== group && to !== group);
      edge.setAttribute("visibility", hide ? "hidden" : "visible");
    }
    form.querySelector("[role=status]").textContent = `${shown} of ${total} rules shown`;
  }

  // Where the style alone can't show on paper what is folded.
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = all("details:not([open])");
    folded.forEach((details) => (details.open = true));
  });
  addEventListener("afterprint", () => folded.forEach((details) => (details.open = false)));

  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", apply);
  form.addEventListener("reset", () => setTimeout(apply));
  form.hidden = false;
  form.reset();
})();
