-- Replays prepared requests: one line per path, body and token, each list cycled.
-- Arguments: method, paths file, bodies file or "-", tokens file or "-", "once" or "cycle", a number that
-- starts the run's own, and requests per second or 0 for as many as come back.

local ffi = require("ffi")
ffi.cdef("typedef struct { long seconds; long nanoseconds; } instant; int clock_gettime(int, instant *);")

local method, once, serial
local paths, bodies, tokens = {}, {}, {}
local threads, instant, MONOTONIC = {}, ffi.new("instant"), 1
-- Globals, because `done` runs outside of the thread and reads them from it.
issued, started, exhausted = 0, 0, 0

local function milliseconds()
  ffi.C.clock_gettime(MONOTONIC, instant)
  return tonumber(instant.seconds) * 1000 + tonumber(instant.nanoseconds) / 1e6
end

local function lines(name)
  local all = {}
  if name ~= "-" then
    for line in io.lines(name) do all[#all + 1] = line end
  end
  return all
end

-- Requests leave on a fixed timetable, late answers or not.
local function paced(rate)
  local start, slot = nil, 0
  return function()
    local now = milliseconds()
    start, slot = start or now, slot + 1
    return math.max(0, math.floor(start + (slot - 1) * 1000 / rate - now + 0.5))
  end
end

function setup(thread) threads[#threads + 1] = thread end

function init(arguments)
  method, once, serial = arguments[1], arguments[5] == "once", tonumber(arguments[6])
  paths, bodies, tokens = lines(arguments[2]), lines(arguments[3]), lines(arguments[4])
  -- wrk looks once, after `init`, whether there is a `delay`.
  if tonumber(arguments[7]) > 0 then delay = paced(tonumber(arguments[7])) end
  if #bodies > 0 then wrk.headers["Content-Type"] = "application/json" end
end

function request()
  local n = issued
  -- wrk asks for a first request before the run, to look at it: the second is the start.
  if n == 1 then started = milliseconds() end
  if once and n >= #paths then
    if exhausted == 0 then exhausted = milliseconds() end
    wrk.thread:stop()
    -- wrk still wants a request from us, though it will not read the answer.
    return wrk.format("GET", "/")
  end
  issued = n + 1
  if #tokens > 0 then wrk.headers["Authorization"] = "Bearer " .. tokens[n % #tokens + 1] end
  local body
  if #bodies > 0 then body = bodies[n % #bodies + 1]:gsub("@N@", string.format("%d", serial + n)) end
  return wrk.format(method, paths[n % #paths + 1], nil, body)
end

function done(summary, latency)
  local errors, thread = summary.errors, threads[1]
  local seconds, ended = summary.duration / 1e6, thread:get("exhausted")
  -- wrk counts the full time even when its thread has stopped early.
  if ended > 0 then seconds = (ended - thread:get("started")) / 1000 end
  io.stderr:write(string.format(
    '{"requests":%d,"seconds":%.6f,"refused":%d,"broken":%d,"p50":%.3f,"p95":%.3f,"p99":%.3f,"issued":%d,"exhausted":%s}\n',
    summary.requests, seconds, errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(95) / 1e3, latency:percentile(99) / 1e3,
    thread:get("issued"), tostring(ended > 0)))
end
