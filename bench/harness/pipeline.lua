-- wrk: 16 requests at once on each connection, as bench/load --pipeline 16
init = function(args)
   local requests = {}
   for i = 1, 16 do requests[i] = wrk.format() end
   batch = table.concat(requests)
end
request = function() return batch end
