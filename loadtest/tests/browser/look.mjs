// Opens a page in a real Chromium as a reader would, on a desk and on a phone, in light and in dark, and prints what it
// saw as one line of JSON.
//
// node look.mjs MODULES CHROMIUM PAGE FOLDER: MODULES is a folder with node_modules that have playwright-core, PAGE a file,
// FOLDER takes a screenshot of each look.

import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const [modules, executablePath, file, folder] = process.argv.slice(2);
const { chromium } = createRequire(resolve(modules, 'package.json'))('playwright-core');

const LOOKS = [
  { name: 'desk', width: 1280, height: 900, colorScheme: 'light' },
  { name: 'desk-dark', width: 1280, height: 900, colorScheme: 'dark' },
  { name: 'phone', width: 390, height: 844, colorScheme: 'light' },
  { name: 'phone-dark', width: 390, height: 844, colorScheme: 'dark' },
];

/** What a reader sees of the page, measured in the page. */
function seen() {
  const shown = (element) => {
    const { width, height } = element.getBoundingClientRect();
    return width > 0 && height > 0 && getComputedStyle(element).visibility === 'visible';
  };
  const luminance = (colour) => {
    const [r, g, b] = colour.match(/[\d.]+/g).slice(0, 3).map((part) => {
      const share = Number(part) / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a, b) => {
    const [light, dark] = [luminance(a), luminance(b)].sort((x, y) => y - x);
    return (light + 0.05) / (dark + 0.05);
  };
  const paper = getComputedStyle(document.body).backgroundColor;
  const plots = [...document.querySelectorAll('svg.plot')].filter(shown);
  return {
    verdict: document.querySelector('.verdict').innerText,
    sections: [...document.querySelectorAll('section')].filter(shown).map(({ id }) => id),
    plots: plots.map((plot) => ({
      section: plot.closest('section').id,
      lines: [...plot.querySelectorAll('path.line')].filter((line) => line.getTotalLength() > 20).length,
      words: document.getElementById(plot.getAttribute('aria-labelledby').split(' ')[1]).textContent,
      letters_px: Math.min(
        ...[...plot.querySelectorAll('text')].map((text) => 12 * (plot.getBoundingClientRect().width / plot.viewBox.baseVal.width)),
      ),
      bands: plot.querySelectorAll('rect.fault').length,
      // What is written beside the plot stays in it.
      cut: [...plot.querySelectorAll('text')].filter((text) => {
        const [inner, outer] = [text.getBoundingClientRect(), plot.getBoundingClientRect()];
        return inner.left < outer.left - 1 || inner.right > outer.right + 1;
      }).length,
      // And none covers another.
      covered: [...plot.querySelectorAll('text')].filter((text, place, all) => {
        const a = text.getBoundingClientRect();
        return all.slice(place + 1).some((other) => {
          const b = other.getBoundingClientRect();
          return a.left < b.right && b.left < a.right && a.top + 2 < b.bottom && b.top + 2 < a.bottom;
        });
      }).length,
      contrast: Math.min(...[...plot.querySelectorAll('path.line')].map((line) => contrast(getComputedStyle(line).stroke, paper))),
    })),
    letters_contrast: Math.min(
      ...[...document.querySelectorAll('p, li, td, th, dt, dd, h1, h2, summary, a, svg.plot text')]
        .filter(shown)
        .map((element) => {
          const style = getComputedStyle(element);
          return contrast(element.tagName === 'text' ? style.fill : style.color, paper);
        }),
    ),
    tables: document.querySelectorAll('section details table').length,
    scrolls_sideways: document.documentElement.scrollWidth > document.documentElement.clientWidth,
  };
}

/** How many colours a picture has, and which share of it is not its most frequent one. */
async function picture(page, png) {
  return page.evaluate(async (source) => {
    const image = new Image();
    image.src = source;
    await image.decode();
    const canvas = new OffscreenCanvas(image.width, image.height);
    const context = canvas.getContext('2d');
    context.drawImage(image, 0, 0);
    const pixels = new Uint32Array(context.getImageData(0, 0, image.width, image.height).data.buffer);
    const counts = new Map();
    for (const pixel of pixels) counts.set(pixel, (counts.get(pixel) ?? 0) + 1);
    return { width: image.width, height: image.height, colours: counts.size, drawn: 1 - Math.max(...counts.values()) / pixels.length };
  }, `data:image/png;base64,${png.toString('base64')}`);
}

const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu', '--no-first-run'] });
const blank = await browser.newPage();
const looks = [];
for (const { name, width, height, colorScheme } of LOOKS) {
  const page = await browser.newPage({ viewport: { width, height }, colorScheme });
  const [requests, complaints] = [[], []];
  const address = pathToFileURL(file).href;
  page.on('request', (request) => request.url() !== address && !request.url().startsWith('data:') && requests.push(request.url()));
  page.on('console', (message) => complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(String(error)));
  await page.goto(address);
  const before = await page.evaluate(seen);
  const png = await page.screenshot({ fullPage: true, path: join(folder, `${name}.png`) });
  // With every table open nothing may stand out either.
  await page.evaluate(() => document.querySelectorAll('details').forEach((details) => (details.open = true)));
  const opened = await page.evaluate(seen);
  const plots = [];
  for (const plot of await page.locator('svg.plot:visible').all()) plots.push(await picture(blank, await plot.screenshot()));
  looks.push({
    name,
    ...before,
    scrolls_sideways: before.scrolls_sideways || opened.scrolls_sideways,
    picture: await picture(blank, png),
    plots_drawn: plots.map(({ drawn }) => drawn),
    requests,
    complaints,
  });
  await page.close();
}
await browser.close();
console.log(JSON.stringify(looks));
