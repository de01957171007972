// The school app's server: pages that load one SDK's bundle, and an API with one slow lecture and one broken answer.

import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';

const SLOW_MS = 1_400;
const NORMAL_MS = 50;
/** Where the connection breaks instead of an answer, as when a server dies. */
export const LOST = '/api/lectures/lost';

/**
 * Serves the app with `sdk`'s bundle on a free port, by HTTPS if there is a certificate; gives its address, and what was
 * asked so far with the status of the answer.
 */
export async function serve(sdk, assets, { tls, headers = {} } = {}) {
  const asked = [];
  const html = (await readFile(new URL('pages/page.html', import.meta.url), 'utf8')).replace('SDK', sdk);
  const take = (request, response) => {
    const { pathname } = new URL(request.url, 'http://school');
    const answer = (status, type, body, after_ms = 0) => {
      asked.push({ path: pathname, status });
      setTimeout(() => response.writeHead(status, { ...headers, 'content-type': type }).end(body), after_ms);
    };
    if (pathname === LOST) {
      asked.push({ path: LOST, status: null });
      return request.socket.destroy();
    }
    if (pathname === '/api/lectures/slow') return answer(200, 'application/json', '{}', SLOW_MS);
    if (pathname.startsWith('/api/lectures/')) return answer(200, 'application/json', '{}', NORMAL_MS);
    if (pathname.startsWith('/api/answers/')) return answer(503, 'application/json', '{}', NORMAL_MS);
    if (pathname.startsWith('/assets/')) {
      const asset = assets.get(pathname.slice('/assets/'.length));
      return asset ? answer(200, 'text/javascript', asset) : answer(404, 'text/plain', '');
    }
    // The address that the pages are left for.
    if (pathname === '/bye') return answer(200, 'text/html', '<!doctype html><title>bye</title><link rel="icon" href="data:,">');
    return answer(200, 'text/html; charset=utf-8', html);
  };
  const server = tls ? createSecureServer(tls, take) : createServer(take);
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  // A name of more than one part, since boomerang keeps its session in a cookie of the domain.
  const scheme = tls ? 'https' : 'http';
  return { address: `${scheme}://${sdk}.school.localhost:${server.address().port}`, asked };
}
