// A visit of which only the browser tells, by Network Error Logging.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { LOST } from './school.mjs';

/** Headers as the page of the guide has them, one a line. */
export async function headers(snippets) {
  const lines = (await readFile(join(snippets, 'network-error-logging', 'headers.txt'), 'utf8')).trim().split('\n');
  return Object.fromEntries(lines.map((line) => line.split(/: (.*)/s).slice(0, 2)));
}

/** Goes through the app, with an answer that is an error and one that is lost; `until` waits for what it is given. */
export async function reported(page, { address, asked }, taken, until) {
  const reports = () => taken.map((text) => JSON.parse(text).map(read));
  const isTold = () => {
    const told = reports().flat();
    const count = (all, path) => all.filter((one) => one.path === path).length;
    return asked.every(({ path }) => count(told, path) >= count(asked, path));
  };
  const played = [];
  await page.exposeFunction('played', (what) => played.push(what));
  await page.goto(`${address}/lectures`);
  await page.click('#open');
  await page.waitForURL('**/lectures/42');
  await until(() => played.length >= 1, 'the lecture');
  await page.click('#again');
  await until(() => played.length >= 2, 'the slow lecture');
  await page.click('#answer');
  await until(() => played.length >= 3, 'the answer');
  // What the browser repeats by itself should come together, as it does when nothing else waits to be reported.
  await until(isTold, 'the reports of what was answered');
  await page.evaluate((path) => fetch(path).catch(() => {}), LOST);
  await until(isTold, 'the reports of what was lost');
  return { asked, requests: reports() };
}

function read({ url, body: { type, elapsed_time } }) {
  return { path: new URL(url).pathname, type, ms: elapsed_time };
}
