"use strict";
// Opens a report as people do, on a phone and on a desk, by day and by night, on paper and without scripts.
// usage: node check.js PAGE EXPECTED, where EXPECTED is JSON: {"rules": {"missing": 1, …}, "group": "…"}
const { createRequire } = require("node:module");
const { pathToFileURL } = require("node:url");
const assert = require("node:assert/strict");

const modules = createRequire(`${process.env.RSGSYNC_BROWSER_MODULES}/`);
const { chromium } = modules("playwright-core");
const axe = modules("axe-core").source;

const [file, expected] = [process.argv[2], JSON.parse(process.argv[3])];
const address = pathToFileURL(file).href;
const QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"];
const ALONE = ["--disable-component-update", "--disable-sync"];
const VIEWS = [375, 1280].flatMap((width) => ["light", "dark"].map((colorScheme) => ({ width, colorScheme })));

// A page of its own, which may ask for nothing but the file, say nothing and open no dialog.
async function open(browser, { width = 1280, ...options }) {
  const context = await browser.newContext({ viewport: { width, height: 800 }, ...options });
  const page = await context.newPage();
  const asked = [];
  const complaints = [];
  page.on("request", (request) => asked.push(request.url()));
  page.on("console", (message) => complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("dialog", (dialog) => (complaints.push(`dialog: ${dialog.message()}`), dialog.dismiss()));
  await page.goto(address);
  const close = async () => {
    assert.deepEqual(asked, [address], "nothing is fetched but the file itself");
    assert.deepEqual(complaints, [], "the console is silent");
    await context.close();
  };
  return { page, close };
}

// axe is put in from outside, past the page's policy. What is folded has to be right as well.
async function hasNoBarrier(page, view) {
  await page.evaluate(() => document.querySelectorAll("details").forEach((details) => (details.open = true)));
  await page.evaluate(axe);
  const rules = { "target-size": { enabled: true } };
  const found = await page.evaluate((rules) => window.axe.run(document, { rules }), rules);
  const places = found.violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join("\n  ")}`);
  assert.deepEqual(places, [], `axe finds nothing, ${JSON.stringify(view)}`);
  const passed = found.passes.map(({ id }) => id);
  ["color-contrast", "target-size", "label", "region"].forEach((id) => assert(passed.includes(id), `axe asked ${id}`));
}

async function fits(page, width) {
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  assert(wide <= width, `the page is ${wide} wide on ${width}`);
}

const standings = (page) =>
  page.evaluate(() => {
    const counts = {};
    for (const rule of document.querySelectorAll("li.rule")) {
      if (rule.checkVisibility()) counts[rule.dataset.standing] = (counts[rule.dataset.standing] ?? 0) + 1;
    }
    return counts;
  });

// Presses Tab until the focus is there, as somebody without a mouse does.
async function tabTo(page, selector, key = "Tab") {
  for (let i = 0; i < 60; i += 1) {
    if (await page.evaluate((selector) => document.activeElement.matches(selector), selector)) return;
    await page.keyboard.press(key);
  }
  assert.fail(`${selector} is not reached with ${key}`);
}

async function filtersByKeyboard(browser) {
  const { page, close } = await open(browser, {});
  const status = page.getByRole("status");
  const total = Object.values(expected.rules).reduce((sum, n) => sum + n, 0);
  assert.equal(await status.textContent(), `${total} of ${total} rules shown`);
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the report");

  // Every status by itself: all others are switched off, and back on.
  const boxes = await page.locator("input[name=standing]").evaluateAll((all) => all.map((box) => box.value));
  assert.deepEqual(boxes, ["missing", "wide", "foreign", "held", "ignored", "open"]);
  const toggle = async (value) => {
    await tabTo(page, `input[value=${value}]`, "Tab");
    await page.keyboard.press("Space");
  };
  const back = () => tabTo(page, "#filter-text", "Shift+Tab");
  for (const kept of boxes) {
    for (const other of boxes.filter((box) => box !== kept)) await toggle(other);
    const n = expected.rules[kept] ?? 0;
    assert.deepEqual(await standings(page), n ? { [kept]: n } : {}, `only ${kept}`);
    assert.equal(await status.textContent(), `${n} of ${total} rules shown`);
    const parts = await page.locator("#matrix .part:visible").evaluateAll((all) => all.map((p) => p.dataset.standing));
    assert(parts.every((part) => part === kept), `the matrix shows only ${kept}: ${parts}`);
    const lines = page.locator("#picture g.edge:not([visibility=hidden])");
    const drawn = await lines.evaluateAll((all) => all.map((line) => line.dataset.standing));
    assert(drawn.every((line) => line === kept), `the picture shows only ${kept}: ${drawn}`);
    await tabTo(page, "#filter button");
    await page.keyboard.press("Enter");
    await page.waitForFunction((text) => document.querySelector("[role=status]").textContent === text,
      `${total} of ${total} rules shown`);
    await back();
  }

  // Words: exactly the rules that have all of them.
  const words = expected.words;
  await page.keyboard.type(words);
  const wrong = await page.evaluate((words) => {
    const has = (rule) => {
      const text = (rule.textContent + rule.closest("details").dataset.group).toLowerCase();
      return words.split(" ").every((word) => text.includes(word));
    };
    const rules = [...document.querySelectorAll("li.rule")];
    return { wrong: rules.filter((rule) => has(rule) !== rule.checkVisibility()).length, right: rules.filter(has).length };
  }, words);
  assert.equal(wrong.wrong, 0, `search for ${words}`);
  assert(wrong.right > 0 && wrong.right < total, `${words} narrows: ${wrong.right} of ${total}`);
  await tabTo(page, "#filter button");
  await page.keyboard.press("Enter");

  // One group, chosen by its name.
  await tabTo(page, "#filter-group", "Shift+Tab");
  await page.keyboard.type(expected.group);
  const shown = page.locator("details.group:visible");
  assert.deepEqual(await shown.evaluateAll((all) => all.map((one) => one.dataset.group)), [expected.group]);
  const columns = await page.locator("#matrix :is(th, details)[data-group]:visible").evaluateAll((all) => all.map((c) => c.dataset.group));
  assert.deepEqual([...new Set(columns)], [expected.group]);
  const lines = page.locator("#picture g.edge:not([visibility=hidden])");
  const ends = await lines.evaluateAll((all) => all.map(({ dataset }) => [dataset.from, dataset.to]));
  assert(ends.length > 0 && ends.every((pair) => pair.includes(expected.group)), `lines of ${expected.group}: ${ends}`);

  // And a group unfolds.
  const open_now = () => shown.evaluate((one) => one.open);
  const before = await open_now();
  await tabTo(page, "details.group > summary");
  await page.keyboard.press("Enter");
  assert.equal(await open_now(), !before);
  await close();
}

async function printsEverything(browser) {
  const { page, close } = await open(browser, { colorScheme: "dark" });
  await page.emulateMedia({ media: "print" });
  const unseen = await page.evaluate(() => {
    const seen = (element) => element.getBoundingClientRect().height > 0 && element.checkVisibility();
    const all = [...document.querySelectorAll("li.rule, table, #rest li, #proof li, svg")];
    return all.filter((element) => !seen(element)).map((element) => element.outerHTML.slice(0, 80));
  });
  assert.deepEqual(unseen, [], "what is folded is printed");
  assert(await page.locator("details:not([open])").count() > 0, "something was folded");
  assert.equal(await page.locator("form:visible, nav:visible").count(), 0);
  assert.equal(await page.evaluate(() => getComputedStyle(document.body).color), "rgb(26, 34, 48)", "dark ink on paper");

  // A4 within the margins.
  await page.setViewportSize({ width: 700, height: 1000 });
  const cut = await page.evaluate(() => {
    const all = [...document.querySelectorAll("li.rule, table, svg, .figures, .facts, #rest li")];
    const beyond = all.filter((element) => element.getBoundingClientRect().right > innerWidth + 1);
    return beyond.map((element) => element.outerHTML.slice(0, 80));
  });
  assert.deepEqual(cut, [], "nothing is beyond the paper's edge");
  const bars = await page.evaluate(() => {
    const sticks = (element) => ["fixed", "sticky"].includes(getComputedStyle(element).position);
    return [...document.querySelectorAll("body *")].filter(sticks).map((element) => element.outerHTML.slice(0, 80));
  });
  assert.deepEqual(bars, [], "nothing stands on every sheet");
  await close();
}

async function printsThatItIsNarrowed(browser) {
  const { page, close } = await open(browser, {});
  await page.locator("#filter-text").fill(expected.words);
  const said = await page.getByRole("status").textContent();
  await page.emulateMedia({ media: "print" });
  const left = await page.locator("#filter *:visible").evaluateAll((all) => all.map((one) => one.textContent));
  assert.deepEqual(left, [said], "of the form only how much is shown is printed");
  await close();
}

async function worksWithoutScripts(browser) {
  const { page, close } = await open(browser, { javaScriptEnabled: false });
  assert.equal(await page.locator("form").isVisible(), false);
  const folded = page.locator("details.group:not([open]) > summary");
  while ((await folded.count()) > 0) await folded.first().click();
  const total = Object.values(expected.rules).reduce((sum, n) => sum + n, 0);
  assert.equal(await page.locator("li.rule:visible").count(), total);
  await close();
}

async function main() {
  const browser = await chromium.launch({ executablePath: process.env.RSGSYNC_BROWSER, args: [...QUIET, ...ALONE] });
  try {
    for (const view of VIEWS) {
      const { page, close } = await open(browser, view);
      await fits(page, view.width);
      await hasNoBarrier(page, view);
      await fits(page, view.width);
      await close();
    }
    const { page, close } = await open(browser, {});
    await page.evaluate(() => document.querySelectorAll("details").forEach((details) => (details.open = true)));
    assert.deepEqual(await standings(page), expected.rules);
    await close();
    await filtersByKeyboard(browser);
    await printsEverything(browser);
    await printsThatItIsNarrowed(browser);
    await worksWithoutScripts(browser);
  } finally {
    await browser.close();
  }
}

main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
