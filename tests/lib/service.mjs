// A service as a user would write one, whose answers each order chooses: the order's member `service` is a list of
// answers, one per request of that order and direction; the last one goes on being given.
//
//   const service = await startService();      service.url, service.requests, service.sockets
//   await place(s, order({}, { service: { run: [{ status: 500 }, { status: 200, body: { message: 'Hi' } }] } }));
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { after } from 'node:test';

const services = new Set();
after(() => { for (const service of services) service.close(); });

const acts = {
  async hang() {},
  async drop(response) { response.socket.destroy(); },
  async half(response) {
    response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': '1000' });
    response.write('{"message":"half of');
    setTimeout(() => response.socket?.destroy(), 20);
  },
  async huge(response) {
    response.writeHead(200, { 'Content-Type': 'application/json' });
    response.on('error', () => {});
    const chunk = 'x'.repeat(64 * 1024);
    response.write('{"message":"');
    for (let i = 0; i < 64 && !response.destroyed; i++)
      response.write(chunk);
    response.end('"}');
  },
  async headers(response) {
    for (let i = 0; i < 200; i++)
      response.setHeader(`X-Filler-${i}`, 'y'.repeat(500));
    response.end();
  },
  async fat(response) {
    response.writeHead(200, { 'Content-Type': 'application/json' });
    response.end(JSON.stringify({ data: { text: 'x'.repeat(70_000) } }));
  },
  async garbage(response) { response.socket.end('this is not HTTP\r\n\r\n'); },
};

async function answer(spec, response) {
  if (spec.delay)
    await new Promise((done) => setTimeout(done, spec.delay));
  if (spec.act)
    return acts[spec.act](response);
  const text = spec.body === undefined ? '' : typeof spec.body === 'string' ? spec.body : JSON.stringify(spec.body);
  const type = spec.body === undefined ? {} : { 'Content-Type': 'application/json' };
  response.writeHead(spec.status ?? 200, { ...type, ...spec.headers });
  response.end(text);
}

// { key, cert }: speaks TLS. `always`: the answer whatever the order says.
export async function startService({ tls = null, always = null } = {}) {
  const requests = [];
  const asked = new Map();
  let busy = 0;
  const service = { requests, sockets: 0, most: 0 };

  async function onRequest(request, response) {
    const chunks = [];
    service.most = Math.max(service.most, ++busy);
    response.on('close', () => busy--);
    for await (const chunk of request)
      chunks.push(chunk);
    const text = Buffer.concat(chunks).toString();
    const event = JSON.parse(text);
    requests.push({ path: request.url, method: request.method, headers: request.headers, text, event });
    const { order, direction } = event.data;
    const name = `${order.id} ${direction}`;
    const answers = always ? [always] : order.service?.[direction] ?? [{}];
    const n = asked.get(name) ?? 0;
    asked.set(name, n + 1);
    await answer(answers[Math.min(n, answers.length - 1)], response);
  }

  const server = tls ? createTlsServer(tls, onRequest) : createServer(onRequest);
  server.on('connection', () => service.sockets++);
  server.keepAliveTimeout = 60_000;
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  service.port = server.address().port;
  service.url = `${tls ? 'https' : 'http'}://127.0.0.1:${service.port}/stage`;
  service.of = (id) => requests.filter((r) => r.event.subject === id);
  service.close = () => {
    services.delete(service);
    server.closeAllConnections();
    server.close();
  };
  services.add(service);
  return service;
}
