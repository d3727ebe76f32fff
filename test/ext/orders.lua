-- wrk fires POST /orders with a fresh random key each at one product, as many customers.
-- Environment: TOKENS (comma-separated), PRODUCT_ID. Prints "status N: count" per status.
local product = os.getenv('PRODUCT_ID')
local tokens = {}
for token in string.gmatch(os.getenv('TOKENS'), '[^,]+') do tokens[#tokens + 1] = token end
local body = '{"items":[{"product_id":"' .. product .. '","quantity":1}]}'
local threads = {}
local made = 0

function setup(thread)
  thread:set('seed', os.time() + #threads)
  threads[#threads + 1] = thread
end

function init()
  math.randomseed(seed)
  statuses = {}
end

function request()
  made = made + 1
  local key = string.format('%08x-%08x-%d', math.random(0, 0x7fffffff), math.random(0, 0x7fffffff), made)
  return wrk.format('POST', '/orders', {
    ['authorization'] = 'Bearer ' .. tokens[made % #tokens + 1],
    ['content-type'] = 'application/json',
    ['idempotency-key'] = key,
  }, body)
end

function response(status)
  statuses[status] = (statuses[status] or 0) + 1
end

function done()
  local sums = {}
  for _, thread in ipairs(threads) do
    for status, count in pairs(thread:get('statuses')) do
      sums[status] = (sums[status] or 0) + count
    end
  end
  for status, count in pairs(sums) do print(string.format('status %d: %d', status, count)) end
end
