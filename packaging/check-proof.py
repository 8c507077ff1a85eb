#!/usr/bin/env python3
"""check-proof.py FILE [SEQ:HASH ...]: checks a proof, or a whole export, of a Stageline journal.

Needs nothing but Python. It computes the hash chain over every line, compares each event's content with its
digest, and every head that is given (as the daemon logged or published it) with the chain. Exit status: 0 all is
well, 1 it is not. What is hashed: core/journal/chain.h and line.h in Stageline's sources.
"""
import hashlib
import json
import sys

ORDER_CREATED, ORDER_ERASED, ORDER_ARCHIVED = 1, 21, 22


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def text(value):
    data = (value or "").encode()
    return len(data).to_bytes(4, "big") + data


def header(event):
    numbers = [(event["seq"], 8), (event["time_us"], 8), (event.get("order_seq", 0), 8), (event["kind"], 4),
               (event["attempt"], 4)]
    order_id = bytes.fromhex(event["id"]) if event["kind"] == ORDER_CREATED else bytes(16)
    return (b"".join(n.to_bytes(size, "big", signed=size == 8) for n, size in numbers) + order_id
            + text(event["type"]) + text(event.get("stage")))


def fail(number, why):
    sys.exit(f"{sys.argv[1]}:{number}: {why}")


def check_content(number, event, line, salts):
    """The payload, byte by byte as it stands, against the digest; False: only remains are left."""
    own = event.get("order_seq") is None or event["kind"] in (ORDER_CREATED, ORDER_ERASED, ORDER_ARCHIVED)
    if event["kind"] == ORDER_CREATED:
        salts[event["seq"]] = event.get("salt")
    salt = event.get("salt") if own else salts.get(event["order_seq"])
    if not salt:
        return False
    payload = line.split(b',"payload":', 1)[1][:-1]
    if sha256(bytes.fromhex(salt), payload) != bytes.fromhex(event["digest"]):
        fail(number, f"event {event['seq']}: its content is not what was appended")
    return True


def main():
    with open(sys.argv[1], "rb") as lines:
        heads = dict(arg.split(":") for arg in sys.argv[2:])
        first = json.loads(next(lines))
        seq, chain = (first.get("previous") or "0:" + "00" * 32).split(":")
        seq, chain, salts, last, n = int(seq), bytes.fromhex(chain), {}, None, 0
        if first.get("version") != 1 or first.get("stageline") not in ("proof", "journal"):
            fail(1, "not a proof of Stageline, or one of a newer version")
        for number, line in enumerate(lines, 2):
            line = line.rstrip(b"\r\n")
            event = json.loads(line)
            if last:
                fail(number, "something stands behind the last line")
            if "head" in event:
                last = event
                continue
            if event["seq"] != seq + 1:
                fail(number, f"event {seq + 1} is missing")
            chain = sha256(chain, header(event), bytes.fromhex(event["digest"]))
            if chain.hex() != event["hash"]:
                fail(number, f"event {event['seq']} is not what followed the event before")
            seq, n = event["seq"], n + 1
            if heads.pop(str(seq), chain.hex()) != chain.hex():
                fail(number, f"event {seq} is not the one whose hash was noted")
            if "payload" in event:
                note = "" if check_content(number, event, line, salts) else "  (erased: only remains)"
                if first["stageline"] == "proof":
                    print(f"{seq}  {event['time_us'] / 1e6:.6f}  {event['type']}{note}")
        if not last or last["head"] != f"{seq}:{chain.hex()}" or last["events"] != n:
            fail(n + 2, "the last line is missing or tells of other events: the file is not whole")
        if heads:
            fail(n + 2, f"the head of event {next(iter(heads))} is not among these events")
    print(f"right: {n} events, order {first['order']}" if "order" in first else f"right: {n} events")
    print(f"head={seq}:{chain.hex()}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main()
