-- Replays prepared requests: one line per path, body and token, each cycled by its own counter.
-- Arguments: method, paths file, bodies file or "-", tokens file or "-", "once" or "cycle", a number that starts the run's own.
-- Every request is built as text ahead of time as far as possible: the load must cost less than what it measures.

local paths, bodies, tokens = {}, {}, {}
local method, once, serial
local sent = 0
issued, exhausted = 0, false

local function lines(name)
  local all = {}
  if name ~= "-" then
    for line in io.lines(name) do all[#all + 1] = line end
  end
  return all
end

local threads = {}
function setup(thread) threads[#threads + 1] = thread end

function init(arguments)
  method, once, serial = arguments[1], arguments[5] == "once", tonumber(arguments[6])
  paths, bodies, tokens = lines(arguments[2]), lines(arguments[3]), lines(arguments[4])
  if #bodies > 0 then wrk.headers["Content-Type"] = "application/json" end
end

function request()
  local n = sent
  sent, issued = sent + 1, sent + 1
  if once and n >= #paths then
    -- wrk asks for one request more than it can stop at; a repeated path would be an error of the load, not of the server.
    exhausted = true
    wrk.thread:stop()
    n = #paths - 1
  end
  if #tokens > 0 then wrk.headers["Authorization"] = "Bearer " .. tokens[n % #tokens + 1] end
  local body
  if #bodies > 0 then body = bodies[n % #bodies + 1]:gsub("@N@", tostring(serial + n)) end
  return wrk.format(method, paths[n % #paths + 1], nil, body)
end

function done(summary, latency)
  local errors = summary.errors
  local thread = threads[1]
  io.stderr:write(string.format(
    '{"requests":%d,"seconds":%.6f,"refused":%d,"broken":%d,"p50":%.3f,"p95":%.3f,"p99":%.3f,"issued":%d,"exhausted":%s}\n',
    summary.requests, summary.duration / 1e6, errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(95) / 1e3, latency:percentile(99) / 1e3,
    thread:get("issued"), tostring(thread:get("exhausted"))))
end
