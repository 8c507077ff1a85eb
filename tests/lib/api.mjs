// The daemon's own documents, held against what it does: each answer has the shape that they promise, and nothing more.
import assert from 'node:assert/strict';
import Ajv from 'ajv/dist/2020.js';
import { getJson } from './orders.mjs';

// A member that the document does not name is a fault of one of them.
function closed(schema) {
  if (Array.isArray(schema))
    return schema.map(closed);
  if (schema === null || typeof schema !== 'object')
    return schema;
  const all = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, closed(value)]));
  return schema.type === 'object' && schema.properties && !('additionalProperties' in schema)
    ? { ...all, additionalProperties: false } : all;
}

function validatorOf(name, { components }) {
  const ajv = new Ajv({ strict: false, allErrors: true });
  ajv.addSchema({ $id: name, components: { schemas: closed(components.schemas) } });
  return ({ $ref: ref }, value, what) => {
    const check = ajv.getSchema(`${name}${ref}`);
    assert.ok(check(value), `${what}: ${ajv.errorsText(check.errors)}\n${JSON.stringify(value, null, 1).slice(0, 4000)}`);
  };
}

const typeOf = (answer) => (answer.headers.get('content-type') ?? '').split(';')[0];

// api.call('POST /orders/{id}/cancel', { id, body, query, headers }): { status, body, headers }. What is not given of the path
// is something that nothing has.
export async function openApi(s) {
  const document = await getJson(s, '/openapi.json');
  const check = validatorOf('openapi.json', document);
  const seen = new Set();
  const nothing = { id: '01890a5d-ac96-774b-bcce-b302099a8057', stage: 'nowhere', name: 'nowhere', job: 999, file: 'nothing.js' };
  const operations = Object.entries(document.paths).flatMap(([path, methods]) => Object.entries(methods)
    .map(([method, operation]) => ({ name: `${method.toUpperCase()} ${path}`, method: method.toUpperCase(), path, operation })));

  // Notes that the operation gave that status, and looks at what came with it.
  function note(name, status, type, text, sent) {
    const { operation } = operations.find((o) => o.name === name);
    const promised = operation.responses[status] ?? (status >= 400 && operation.responses.default);
    const what = `${name}: ${status}`;
    assert.ok(promised, `${what} is not named`);
    seen.add(`${name} ${status}`);
    const content = promised.content?.[type] ?? promised.content?.['*/*'];
    assert.ok(content || (!promised.content && text === ''), `${what} with '${type}'`);
    if (/json$/.test(type))
      check(content.schema, JSON.parse(text), what);
    if (status < 300 && sent !== undefined)
      check(operation.requestBody.content['application/json'].schema, sent, `${name}: what was sent`);
  }

  async function call(name, { query = '', body, headers = {}, ...names } = {}) {
    const { method, path } = operations.find((o) => o.name === name) ?? assert.fail(`${name} is not in the document`);
    const url = s.url + path.replace(/\{(\w+)\}/g, (_, key) => encodeURIComponent(names[key] ?? nothing[key])) + query;
    const isText = typeof body === 'string';
    const answer = await fetch(url, { method, headers: { ...(body === undefined ? {} : { 'Content-Type': 'application/json' }), ...headers },
      body: body === undefined || isText ? body : JSON.stringify(body) });
    const type = typeOf(answer);
    if (type === 'text/event-stream') {
      const { value } = await answer.body.getReader().read();
      note(name, answer.status, type, String(value));
      return { status: answer.status, text: Buffer.from(value).toString() };
    }
    const text = await answer.text();
    note(name, answer.status, type, text, isText ? undefined : body);
    return { status: answer.status, body: /json$/.test(type) ? JSON.parse(text) : text, headers: answer.headers };
  }

  // The same, for an answer of that status; its body.
  async function expect(status, name, request) {
    const answer = await call(name, request);
    assert.equal(answer.status, status, `${name}: ${JSON.stringify(answer.body)}`);
    return answer.body ?? answer.text;
  }

  const named = operations.flatMap(({ name, operation }) => Object.keys(operation.responses)
    .filter((status) => status !== 'default').map((status) => `${name} ${status}`));
  return { document, operations, call, expect, note, missing: () => named.filter((what) => !seen.has(what)) };
}

// check(address, message): it is one of those that the channel sends.
export async function asyncApi(s) {
  const document = await getJson(s, '/asyncapi.json');
  const check = validatorOf('asyncapi.json', document);
  const seen = new Set();

  return {
    document,
    check(address, message) {
      const { messages } = Object.values(document.channels).find((c) => c.address === address);
      const fits = Object.keys(messages).filter((name) => {
        const { properties } = document.components.schemas[name];
        return properties.type.const === message.type;
      });
      assert.equal(fits.length, 1, `${address}: ${JSON.stringify(message).slice(0, 200)}`);
      check(messages[fits[0]].payload, message, `${address}: ${fits[0]}`);
      seen.add(`${address} ${fits[0]}`);
    },
    missing: () => Object.values(document.channels).flatMap(({ address, messages }) => Object.keys(messages)
      .map((name) => `${address} ${name}`)).filter((what) => !seen.has(what)),
  };
}
