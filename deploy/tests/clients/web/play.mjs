// Plays the school app in a real Chromium, once with each SDK and once with none, and prints what the pages and the
// browser measured as one line of JSON.
//
// node play.mjs SNIPPETS CHROMIUM INGEST SDK…: SNIPPETS has the code blocks of docs/connect, a folder for each page of
// it, and key.pem with certificate.pem. INGEST is the address of ingest. The browser stays until standard input is
// closed, so that what it still sends is sent.

import { createHash, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';
import { chromium } from 'playwright-core';

import { serveFront } from './front.mjs';
import { headers, reported } from './reported.mjs';
import { serve } from './school.mjs';

const USER_AGENT =
  'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36';
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  `--user-agent=${USER_AGENT}`,
  // Within a second instead of a minute.
  '--short-reporting-delay',
];
/** The page of which only the browser tells. */
const REPORTED = 'nel';
/** Where the pages of the guide have ingest. */
const INGEST_HOST = 'rum.example';

const [snippets, executablePath, ingest, ...sdks] = process.argv.slice(2);

/** Every page's script with its SDK, by file name. */
async function bundle() {
  const here = new URL('.', import.meta.url).pathname;
  const { outputFiles } = await build({
    entryPoints: [...sdks, REPORTED].map((sdk) => join(here, 'pages', `${sdk}.js`)),
    alias: { connect: snippets },
    nodePaths: [join(here, 'node_modules')],
    bundle: true,
    format: 'iife',
    write: false,
    outdir: 'assets',
    logLevel: 'error',
  });
  const scripts = new Map(outputFiles.map((file) => [file.path.split('/').pop(), file.text]));
  if (scripts.has('boomerang.js')) {
    // Is no module: its files become one script as the page that connects it says.
    const folder = join(snippets, 'boomerang');
    const files = (await readFile(join(folder, 'files.txt'), 'utf8')).trim().split('\n');
    const parts = files.map((file) => readFile(join(here, 'node_modules', file), 'utf8'));
    parts.push(readFile(join(folder, 'init.js'), 'utf8'), scripts.get('boomerang.js'));
    scripts.set('boomerang.js', (await Promise.all(parts)).join('\n'));
  }
  return scripts;
}

/**
 * What a learner waits for: that the SDK has told of it. OpenTelemetry ends the span of a call some time after the call, and
 * boomerang makes one beacon of what follows closely.
 */
const TOLD = {
  otel: { answer: (sent) => sent.some(({ body }) => body?.includes('/api/answers/7')) },
  boomerang: Object.fromEntries(
    // Its beacons by then: those of both loads, and one for each step.
    [['show', 3], ['again', 4], ['answer', 5], ['term', 6]].map(([step, count]) => [
      step,
      (sent) => sent.filter(({ beacon }) => beacon).length >= count,
    ]),
  ),
};

/** A learner's visit: each button once, with a full navigation while a lecture is opened. */
async function visit(page, address, told) {
  const seen = [];
  const sent = [];
  page.on('request', (request) => sent.push({ body: request.postData() ?? '' }));
  await page.exposeFunction('told', (what) => sent.push(what));
  const heard = async (step) => {
    if (told?.[step]) await until(() => told[step](sent), `being told of ${step}`);
  };
  const played = [];
  await page.exposeFunction('played', (what) => played.push(what));
  const errors = [];
  page.on('pageerror', (error) => errors.push(error.name));
  const happened = (journey, count) => until(() => played.filter((what) => what.journey === journey).length >= count, journey);
  const settled = async () => {
    await page.waitForFunction(() => {
      const { vitals, load } = window.seen();
      return load.load_end > 0 && vitals.LCP !== null && vitals.CLS > 0;
    });
    await page.click('#more');
    await page.waitForFunction(() => window.seen().vitals.INP >= 40);
  };

  await page.goto(`${address}/lectures`);
  await settled();
  seen.push(await page.evaluate('seen()'));
  await page.click('#open');
  await page.waitForURL('**/lectures/42');
  await happened('watch-lecture', 1);
  await heard('show');
  await settled();
  await page.click('#again');
  await happened('watch-lecture', 2);
  await heard('again');
  await page.click('#answer');
  await happened('submit-answer', 1);
  await heard('answer');
  await page.click('#term');
  await happened('find-term', 1);
  await heard('term');
  await page.click('#quiz');
  await until(() => errors.length > 0, 'the error of the quiz');
  await heard('quiz');
  seen.push(await page.evaluate('seen()'));
  await page.goto(`${address}/bye`);
  return { pages: seen, played, errors, told: sent.flatMap((told) => [...spans(told), ...beacons(told), ...(told.call ? [told.call] : [])]) };
}

/** The HTTP calls that OpenTelemetry tells of in a request. */
function spans({ body }) {
  if (!body?.startsWith('{"resourceSpans"')) return [];
  const all = JSON.parse(body).resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans));
  return all.map(({ attributes, startTimeUnixNano, endTimeUnixNano }) => {
    const value = (key) => Object.values(attributes.find((attribute) => attribute.key === key).value)[0];
    return {
      path: new URL(value('http.url')).pathname,
      status: Number(value('http.status_code')),
      ms: Number(BigInt(endTimeUnixNano) - BigInt(startTimeUnixNano)) / 1e6,
    };
  });
}

/** The HTTP calls that boomerang tells of in a beacon. */
function beacons({ beacon }) {
  if (beacon?.['http.initiator'] !== 'xhr') return [];
  return [{ path: new URL(beacon.u).pathname, status: Number(beacon['http.errno'] ?? 200), ms: beacon.t_done }];
}

async function until(condition, what) {
  const deadline = Date.now() + 30_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`waited too long for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const assets = await bundle();
const tls = {
  key: await readFile(join(snippets, 'key.pem')),
  cert: await readFile(join(snippets, 'certificate.pem')),
};
const front = await serveFront(ingest, tls);
// The browser keeps reports of connections that it trusts, so it is told to trust this key.
const publicKey = new X509Certificate(tls.cert).publicKey.export({ type: 'spki', format: 'der' });
const trusted = createHash('sha256').update(publicKey).digest('base64');
const args = [
  ...FLAGS,
  `--ignore-certificate-errors-spki-list=${trusted}`,
  `--host-resolver-rules=MAP ${INGEST_HOST} 127.0.0.1:${front.port}`,
];
// With a fresh profile, and for each learner a fresh context in it.
const browser = await chromium.launch({ executablePath, args });
const newPage = async () => (await browser.newContext()).newPage();
const [visits, byBrowser] = await Promise.all([
  Promise.all(
    sdks.map(async (sdk) => {
      const { address } = await serve(sdk, assets);
      return [sdk, await visit(await newPage(), address, TOLD[sdk])];
    }),
  ),
  reported(
    await newPage(),
    await serve(REPORTED, assets, { tls, headers: await headers(snippets) }),
    front.taken,
    until,
  ),
]);
console.log(JSON.stringify({ visits: Object.fromEntries(visits), reported: byBrowser }));
process.stdin.resume();
await new Promise((resolve) => process.stdin.on('end', resolve));
await browser.close();
process.exit(0);
