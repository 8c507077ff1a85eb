// The hash chain, computed once more from the columns of `events` by what core/journal/chain.h says, so
// that the program's own idea of it has a witness.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { query } from './oracle.mjs';

const bytes = (hex) => Buffer.from(hex ?? '', 'hex');
const sha256 = (...parts) => createHash('sha256').update(Buffer.concat(parts)).digest();

function number(value, size) {
  const out = Buffer.alloc(size);
  if (size === 8)
    out.writeBigInt64BE(BigInt(value));
  else
    out.writeUInt32BE(value);
  return out;
}

const text = (hex) => Buffer.concat([number(bytes(hex).length, 4), bytes(hex)]);

function header(row) {
  const id = row.id ? bytes(row.id) : Buffer.alloc(16);
  return Buffer.concat([number(row.seq, 8), number(row.time_us, 8), number(row.order_seq ?? 0, 8),
    number(row.kind, 4), number(row.attempt, 4), id, text(row.type), text(row.stage)]);
}

const removals = [21, 22]; // order_erased, order_archived

// What core/journal/kept.h says: Map of seq → the digest of what remains of that event.
function keptByRemovals(rows) {
  const kept = new Map();
  for (const row of rows.filter(({ kind }) => removals.includes(kind)))
    for (const entry of JSON.parse(bytes(row.payload)).kept.split(','))
      kept.set(row.order_seq + Number(entry.split(':')[0]), entry.split(':')[1]);
  return kept;
}

const PAGE_ROWS = 50_000; // what sqlite3 prints at once: there is a limit to a string

function allRows(s) {
  let rows = [];
  let page;
  do {
    page = query(s, `SELECT seq, time_us, order_seq, kind, attempt, hex(type) AS type, hex(stage) AS stage,
      hex(id) AS id, hex(salt) AS salt, hex(payload) AS payload, hex(digest) AS digest, hex(hash) AS hash
      FROM events WHERE seq > ${rows.at(-1)?.seq ?? 0} ORDER BY seq LIMIT ${PAGE_ROWS}`);
    rows = rows.concat(page);
  } while (page.length === PAGE_ROWS);
  return rows;
}

// Verifies the whole journal of a server that is down; returns the number of events.
export function checkChain(s) {
  const rows = allRows(s);
  const salts = new Map(rows.filter((row) => row.order_seq === row.seq).map((row) => [row.seq, bytes(row.salt)]));
  const kept = keptByRemovals(rows);
  let previous = Buffer.alloc(32);

  rows.forEach((row, i) => {
    assert.equal(row.seq, i + 1, 'a seq is missing');
    const salt = row.order_seq && !removals.includes(row.kind) ? salts.get(row.order_seq) : bytes(row.salt);
    if (salt.length === 0) {
      const remains = sha256(bytes(row.payload)).toString('hex').slice(0, 32);
      assert.equal(remains, kept.get(row.seq), `remains of event ${row.seq}`);
    } else {
      assert.equal(salt.length, 16, `salt of event ${row.seq}`);
      assert.equal(sha256(salt, bytes(row.payload)).toString('hex').toUpperCase(), row.digest, `digest of event ${row.seq}`);
    }
    previous = sha256(previous, header(row), bytes(row.digest));
    assert.equal(previous.toString('hex').toUpperCase(), row.hash, `hash of event ${row.seq}`);
  });
  return rows.length;
}
