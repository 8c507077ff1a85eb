-- What wrk posts. ORDERS=same: the README's order every time. ORDERS=varied: one of 5,000 customers, whatever of
-- the catalogue, and one order in 20,000 for the product that is sold out, so that a rare status exists.
local address = { ["Content-Type"] = "application/json" }

local function body(email, second)
  return string.format('{"customer_email": "%s", "total_amount": %s, "items": [' ..
    '{"product_id": "PROD-001", "name": "Laptop", "quantity": 1, "price": 999.99}, %s]}',
    email, second.total, second.item)
end

local mouse = { total = "1059.97",
  item = '{"product_id": "PROD-002", "name": "Mouse", "quantity": 2, "price": 29.99}' }
local keyboard = { total = "1079.98",
  item = '{"product_id": "PROD-003", "name": "Keyboard", "quantity": 1, "price": 79.99}' }
local monitor = { total = "1299.98",
  item = '{"product_id": "PROD-004", "name": "Monitor", "quantity": 1, "price": 299.99}' }

wrk.method = "POST"
wrk.headers = address
wrk.body = body("ann@example.com", mouse)

if os.getenv("ORDERS") == "varied" then
  local ready, n = {}, 0

  init = function()
    for i = 1, 20000 do
      local second = i == 20000 and monitor or i % 10 == 0 and keyboard or mouse
      ready[i] = wrk.format(nil, nil, nil, body(string.format("customer%04d@example.com", i % 5000), second))
    end
  end
  request = function()
    n = n % 20000 + 1
    return ready[n]
  end
end

done = function(summary, latency)
  local e = summary.errors
  io.write(string.format('\nJSON {"requests": %d, "seconds": %f, "p50_ms": %f, "p99_ms": %f, "refused": %d, "broken": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    e.status, e.connect + e.read + e.write + e.timeout))
end
