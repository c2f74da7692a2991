-- For wrk: whole requests made beforehand, sent round and round. Its argument is the folder that holds them.
local requests, sent = {}, 0

function init(args)
  local listing = io.popen('ls "' .. args[1] .. '"')
  for name in listing:lines() do
    local file = io.open(args[1] .. "/" .. name, "rb")
    requests[#requests + 1] = file:read("*a")
    file:close()
  end
  listing:close()
end

function request()
  sent = sent % #requests + 1
  return requests[sent]
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    '\n{"answers": %d, "seconds": %.6f, "refused": %d, "broken": %d, "p50_ms": %.3f, "p90_ms": %.3f, "p99_ms": %.3f, "max_ms": %.3f}\n',
    summary.requests, summary.duration / 1e6, errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(90) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3))
end
