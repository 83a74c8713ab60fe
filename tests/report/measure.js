// What is wrong with a page as it is laid out, as a list of lines. Details are opened first.
const [width, printed] = arguments;
const least = 4.5;  // WCAG 2, level AA
const wrong = [];
const wide = () => {
  const page = document.documentElement;
  if (page.scrollWidth > width) wrong.push(`scrolls sideways: ${page.scrollWidth} > ${width}`);
};
wide();
document.querySelectorAll("details").forEach(d => d.open = true);
wide();

const shown = text => `"${text.trim().replace(/\s+/g, " ").slice(0, 50)}"`;
const colour = text => {
  const parts = (text.match(/[\d.]+/g) || []).map(Number);
  return {rgb: parts.slice(0, 3), alpha: parts.length > 3 ? parts[3] : 1};
};
const over = (top, below) => top.rgb.map((x, i) => x * top.alpha + below[i] * (1 - top.alpha));
const luminance = rgb => {
  const [r, g, b] = rgb.map(x => x / 255).map(x => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = (a, b) => {
  const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (high + 0.05) / (low + 0.05);
};
const backdrop = element => {
  const layers = [];
  for (let e = element; e; e = e.parentElement) {
    const layer = colour(getComputedStyle(e).backgroundColor);
    layers.push(layer);
    if (layer.alpha === 1) break;
  }
  return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
};
const meet = (a, b, room) => a.left < b.right - room && b.left < a.right - room &&
                             a.top < b.bottom - room && b.top < a.bottom - room;

// Text against what lies behind it, shapes of the same drawing included.
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let node = walker.nextNode(); node; node = walker.nextNode()) {
  const element = node.parentElement;
  if (!node.data.trim() || ["SCRIPT", "STYLE"].includes(element.tagName)) continue;
  const box = element.getBoundingClientRect();
  if (box.width === 0) continue;  // not displayed, as details in print
  const svg = element.closest("svg");
  const style = getComputedStyle(element);
  const behind = [backdrop(element)];
  if (svg) {
    for (const shape of svg.querySelectorAll("rect, circle, path")) {
      const fill = getComputedStyle(shape).fill;
      if (fill !== "none" && meet(shape.getBoundingClientRect(), box, 1)) {
        behind.push(over(colour(fill), behind[0]));
      }
    }
  }
  for (const below of behind) {
    const ratio = contrast(over(colour(svg ? style.fill : style.color), below), below);
    if (ratio < least) wrong.push(`contrast ${ratio.toFixed(2)} of ${shown(node.data)}`);
  }
}

for (const figure of document.querySelectorAll("figure")) {
  const name = figure.querySelector("figcaption")?.textContent ?? "";
  const say = what => wrong.push(`figure ${shown(name)}: ${what}`);
  if (!name.trim()) say("no title");
  if (getComputedStyle(figure).display === "none" || figure.getBoundingClientRect().width === 0) {
    if (!printed) say("not displayed");
    continue;
  }
  const drawings = figure.querySelectorAll("svg[role=img]");
  if (drawings.length !== 1) { say(`${drawings.length} drawings`); continue; }
  if (!drawings[0].getAttribute("aria-label")) say("no description");
  if (!figure.querySelector("table tbody tr")) say("no table");
  const area = drawings[0].getBoundingClientRect();
  if (area.left < 0 || area.right > width + 0.5) say("sticks out of the page");
  const texts = [...drawings[0].querySelectorAll("text")].map(t => ({text: t.textContent, box: t.getBoundingClientRect()}));
  if (texts.filter(t => /[a-z]{3}/i.test(t.text)).length < 2) say("axes without names");
  if (texts.filter(t => /\d/.test(t.text)).length < 2) say("axes without numbers");
  if (!drawings[0].querySelector("path, rect, circle")) say("nothing drawn");
  texts.forEach((t, i) => {
    if (t.box.width === 0 || t.box.height === 0) say(`empty text ${shown(t.text)}`);
    if (t.box.left < area.left - 1 || t.box.right > area.right + 1 || t.box.top < area.top - 1 ||
        t.box.bottom > area.bottom + 1) say(`text ${shown(t.text)} is cut off`);
    texts.slice(i + 1).filter(u => meet(t.box, u.box, 1)).forEach(u => say(`texts ${shown(t.text)} and ${shown(u.text)} overlap`));
  });
}
return wrong;
