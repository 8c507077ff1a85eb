// A TCP proxy before a server, which can break off answers in the middle.
//
//   const proxy = await startProxy(port);    proxy.port
//   proxy.cut(bytes)     each connection ends after so many more bytes of answers
//   proxy.heal()         new connections last again
//   proxy.turnTo(port)   new connections go there; those that are there stay
import { connect, createServer } from 'node:net';

export async function startProxy(port) {
  let to = port;
  const pairs = new Set();
  let left = null; // bytes that a connection made now may answer; null: all

  function open(client) {
    const server = connect(to, '127.0.0.1');
    const pair = { left, close: () => { client.destroy(); server.destroy(); pairs.delete(pair); } };
    pairs.add(pair);
    client.pipe(server);
    server.on('data', (chunk) => {
      if (pair.left !== null && chunk.length > pair.left) {
        client.end(chunk.subarray(0, pair.left), pair.close);
        pair.left = 0;
        return;
      }
      if (pair.left !== null)
        pair.left -= chunk.length;
      client.write(chunk);
    });
    for (const socket of [client, server])
      socket.on('error', pair.close).on('close', pair.close);
  }
  const listener = createServer(open);
  await new Promise((done) => listener.listen(0, '127.0.0.1', done));
  return {
    port: listener.address().port,
    cut(bytes) {
      left = bytes;
      for (const pair of pairs)
        pair.left = bytes;
    },
    heal() { left = null; },
    turnTo(other) { to = other; },
    async close() {
      for (const pair of pairs)
        pair.close();
      await new Promise((done) => listener.close(done));
    },
  };
}
