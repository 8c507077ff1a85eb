// Requests that are sent in two pieces, so that something can happen between.
import { connect } from 'node:net';

// A request whose last bytes are sent by finish(): { finish, answer: Promise of all that came }.
export function halfRequest(s, path, body) {
  const head = body === undefined ? `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n`
    : `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n`
      + `Content-Length: ${body.length + 2}\r\n\r\n${body}`;
  const socket = connect(s.port, '127.0.0.1');
  const answer = new Promise((done) => {
    let text = '';
    socket.setEncoding('utf8').on('data', (chunk) => { text += chunk; });
    socket.on('error', () => {}).on('close', () => done(text));
  });
  const started = new Promise((done) => {
    socket.on('connect', () => socket.write(head, () => setTimeout(done, 50)));
  });
  return { started, answer, finish: () => socket.write('\r\n') };
}
