// HTTPS in front of ingest, since browsers send their reports by nothing else. Keeps what it has passed on.

import { request as ask } from 'node:http';
import { createServer } from 'node:https';
import { buffer } from 'node:stream/consumers';

/** Passes requests on to `ingest` and its answers back; gives the port, and the texts that were answered 2xx. */
export async function serveFront(ingest, tls) {
  const taken = [];
  const server = createServer(tls, async (request, response) => {
    const body = await buffer(request);
    const passed = ask(new URL(request.url, ingest), { method: request.method, headers: request.headers }, (answer) => {
      if (request.method === 'POST' && answer.statusCode < 300) taken.push(body.toString());
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    passed.on('error', () => response.destroy());
    passed.end(body);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { port: server.address().port, taken };
}
