-- wrk tells what it has counted in one line; with WRK_PIPELINE=16 it sends 16 requests at once.
local depth = tonumber(os.getenv("WRK_PIPELINE") or "1")
if depth > 1 then
   init = function(args)
      local requests = {}
      for i = 1, depth do requests[i] = wrk.format() end
      batch = table.concat(requests)
   end
   request = function() return batch end
end

done = function(summary, latency, requests)
   local e = summary.errors
   io.write(string.format("\n#%d %d %d %d %d %d %d %d %d %d %d %d\n", summary.requests, summary.duration,
                          e.connect, e.read, e.write, e.status, e.timeout, latency:percentile(50),
                          latency:percentile(90), latency:percentile(99), latency:percentile(99.9), latency.max))
end
