-- wrk script: POST /orders with a random body of the given ones, of a random customer and with a fresh
-- Idempotency-Key each time. Arguments: tokens file, bodies file, kind of keys ("random" UUIDv4 or
-- "time-prefixed" UUIDv7); one a line, bodies of one length.
-- No response() callback: with one wrk hands every header to Lua and becomes the bottleneck.
local ffi = require('ffi')
ffi.cdef('typedef struct { long sec; long usec; } wall_t; int gettimeofday(wall_t *, void *);')
local wall = ffi.new('wall_t')
local heads, tails = {}, {}
local timed

local function random_head()
  return string.format('%08x-%04x-4', math.random(0, 4294967295), math.random(0, 65535))
end

local function timed_head()
  ffi.C.gettimeofday(wall, nil)
  local ms = tonumber(wall.sec) * 1000 + math.floor(tonumber(wall.usec) / 1000)
  return string.format('%08x-%04x-7', math.floor(ms / 65536), ms % 65536)
end

function init(args)
  local seed = io.open('/dev/urandom', 'rb')
  local b1, b2, b3, b4 = seed:read(4):byte(1, 4)
  seed:close()
  math.randomseed(b1 + b2 * 256 + b3 * 65536 + b4 * 16777216)
  timed = args[3] == 'time-prefixed'
  local length
  for body in io.lines(args[2]) do
    length = #body
    tails[#tails + 1] = '\r\n\r\n' .. body
  end
  for token in io.lines(args[1]) do
    heads[#heads + 1] = 'POST /orders HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n'
      .. 'Content-Length: ' .. length .. '\r\nAuthorization: Bearer ' .. token
      .. '\r\nIdempotency-Key: '
  end
end

function request()
  local random = math.random
  return heads[random(#heads)]
    .. (timed and timed_head() or random_head())
    .. string.format('%03x-9%03x-%06x%06x', random(0, 4095), random(0, 4095),
      random(0, 16777215), random(0, 16777215))
    .. tails[random(#tails)]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"durationUs":%d,"statusErrors":%d,"socketErrors":%d,"p50Us":%d,"p99Us":%d}\n',
    summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
