/**
 * The server-side steps, each atomic. Scripts rather than a function library: they leave nothing in the server, need no right to change it for
 * others, and two versions of Zuruf can share one Redis during a deploy. They are sent by their hash; whole only where the server does not know them.
 */
import { createHash } from "node:crypto";

export interface Script {
  readonly source: string;
  readonly sha1: string;
}

function script(source: string): Script {
  return { source, sha1: createHash("sha1").update(source).digest("hex") };
}

/**
 * Appends a block of publications (see block.ts) to each of some channels, and announces it. KEYS: log, meta and both hashes of idempotency keys of each.
 * ARGV: run id, fresh epoch, key window; then of each channel: block, how many it holds, their bytes, Pub/Sub channel, size, ttl, bytes, how many keys follow (none, or one for each; empty: none), and they.
 * Returns for each `epoch offset` of its first publication; or of all, as a list, when some had been published before; or `!` and why nothing of it is stored.
 *
 * - Numbers are printed with %d: Lua's own would round from 10^14 on.
 * - What costs the same for many publications as for one is what makes them cheap together: one entry, one announcement.
 * - Keys are in one of two hashes, which take turns each key window, with the first key that is new: who forgets a whole hash at once needs no expiry per key.
 * - The log is trimmed by count when an eighth more than wanted has come, by age and bytes at most some entries each time: reading leaves out what is too old.
 * - `oldest` is the time of the oldest entry or earlier: only when it is over age are entries looked at.
 * - Keys get twice the life that they need and are touched when a quarter of it is over, so that most appends need no PEXPIRE.
 */
export const append: Script = script(`
local run, fresh, window = ARGV[1], ARGV[2], tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function str(number) return string.format('%d', number) end

local function append(k, a)
  local log, meta = KEYS[k], KEYS[k + 1]
  local block, count, length = ARGV[a], tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2])
  local size, ttl, bytes, keyed = tonumber(ARGV[a + 4]), tonumber(ARGV[a + 5]), tonumber(ARGV[a + 6]), tonumber(ARGV[a + 7])
  local m = redis.call('HMGET', meta, 'head', 'chain', 'run', 'oldest', 'sum', 'ttl', 'touched', 'turned', 'side')
  local head, chain, oldest = tonumber(m[1]) or 0, m[2], tonumber(m[4])
  local changes = {}
  local function set(field, value) changes[#changes + 1] = field; changes[#changes + 1] = value end

  -- Of those published before: their positions. What is left is appended.
  local known, repeated, side, keys, turns = {}, false, m[9], nil, false
  if keyed > 0 then
    local hashes = {}
    turns = not side or now - tonumber(m[8]) >= window
    if turns then
      -- What is in the older hash is too old to count.
      if side then hashes = { KEYS[k + 2 + side] } end
      side = side == '0' and 1 or 0
      keys = KEYS[k + 2 + side]
    else
      keys = KEYS[k + 2 + side]
      hashes = { keys, KEYS[k + 3 - side] }
    end
    for _, hash in ipairs(hashes) do
      for n, position in ipairs(redis.call('HMGET', hash, unpack(ARGV, a + 8, a + 7 + keyed))) do
        if position and ARGV[a + 7 + n] ~= '' then known[n] = position; repeated = true end
      end
    end
  end
  if repeated then
    local lengths, parts, n, at = {}, {}, 0, string.find(block, '\\n', 1, true) + 1
    for size in string.gmatch(string.sub(block, 1, at - 2), '%d+') do
      n = n + 1
      if not known[n] then
        lengths[#lengths + 1] = size
        parts[#parts + 1] = string.sub(block, at, at + tonumber(size) - 1)
      end
      at = at + tonumber(size)
    end
    count, parts = #parts, table.concat(parts)
    length, block = #parts, table.concat(lengths, ' ') .. '\\n' .. parts
  end
  if count == 0 then return known end

  local last, sum = str(head + count), tonumber(m[5]) or 0
  if not chain then
    redis.call('DEL', log)
    chain = fresh .. ':0'
    set('chain', chain) set('run', run)
  elseif m[3] ~= run then
    local links, entry, kept = {}, redis.call('XRANGE', log, '-', '+', 'COUNT', 1)[1], head + 1
    if entry then
      local _, many = string.gsub(string.match(entry[2][2], '^[%d ]+'), '%d+', '')
      kept = tonumber(string.match(entry[1], '^%d+')) - many + 1
    end
    for link in string.gmatch(chain .. ' ' .. fresh .. ':' .. str(head + 1), '%S+') do
      if tonumber(string.match(link, ':(%d+)$')) < kept then links = {} end
      links[#links + 1] = link
    end
    chain = table.concat(links, ' ')
    set('chain', chain) set('run', run)
  end
  local epoch = string.match(chain, '(%S+):%d+$')
  redis.call('XADD', log, last .. '-' .. str(now), 'd', block, 'c', str(sum))
  sum = sum + length
  set('head', last) set('sum', str(sum))

  local step = math.max(1, math.floor(size / 8))
  if math.floor(head / step) < math.floor((head + count) / step) then
    redis.call('XTRIM', log, 'MINID', '=', str(math.max(0, head + count - size + 1)))
  end
  if not oldest then
    set('oldest', str(now))
  elseif now - oldest > ttl then
    local from, before = nil, now - ttl
    for _, entry in ipairs(redis.call('XRANGE', log, '-', '+', 'COUNT', 16)) do
      from = entry[1]
      if tonumber(string.match(from, '%d+$')) >= before then break end
    end
    redis.call('XTRIM', log, 'MINID', '=', from)
    set('oldest', string.match(from, '%d+$'))
  end
  if bytes > 0 then
    while true do
      local entry = redis.call('XRANGE', log, '-', '+', 'COUNT', 1)[1]
      local id = string.match(entry[1], '^%d+')
      if id == last or sum - tonumber(entry[2][4]) <= bytes then break end
      redis.call('XTRIM', log, 'MINID', '=', str(tonumber(id) + 1))
    end
  end

  local positions, records, offset = {}, {}, head
  for n = 1, tonumber(ARGV[a + 1]) do
    if known[n] then
      positions[n] = known[n]
    else
      offset = offset + 1
      positions[n] = epoch .. ' ' .. str(offset)
      if keys and ARGV[a + 7 + n] ~= '' then
        records[#records + 1] = ARGV[a + 7 + n]
        records[#records + 1] = positions[n]
      end
    end
  end
  if #records > 0 then
    if turns then
      -- The older hash is forgotten and used again.
      redis.call('UNLINK', keys)
      set('side', side) set('turned', str(now))
    end
    redis.call('HSET', keys, unpack(records))
    if turns then redis.call('PEXPIRE', keys, str(window * 2)) end
  end

  local stale = tonumber(m[6]) ~= ttl or now - tonumber(m[7]) > ttl / 2
  if stale then set('ttl', ARGV[a + 5]) set('touched', str(now)) end
  redis.call('HSET', meta, unpack(changes))
  if stale then
    redis.call('PEXPIRE', log, str(ttl * 2))
    redis.call('PEXPIRE', meta, str(math.max(ttl * 10, 604800000) + ttl))
  end

  redis.call('SPUBLISH', ARGV[a + 3], str(head + 1) .. ' ' .. epoch .. ' ' .. block)
  if repeated then return positions end
  return positions[1]
end

local answers, a = {}, 4
for k = 1, #KEYS, 4 do
  local done, answer = pcall(append, k, a)
  if not done then answer = '!' .. (type(answer) == 'table' and answer.err or answer) end
  answers[#answers + 1] = answer
  a = a + 8 + ARGV[a + 7]
end
return answers
`);

/** Announces once per idempotency key, without history. KEYS: record. ARGV: message, Pub/Sub channel, window. */
export const announceOnce: Script = script(`
if redis.call('SET', KEYS[1], '', 'NX', 'PX', ARGV[3]) then redis.call('SPUBLISH', ARGV[2], ARGV[1]) end
return false
`);

/**
 * Heads of some logs. KEYS: log and meta of each. ARGV: run id, fresh epoch. Returns `epoch offset` of each; a log that was never written to gets its epoch here.
 * A head that is asked for lives on: at least 3.5 days from now.
 */
export const heads: Script = script(`
local answer = {}
for i = 1, #KEYS, 2 do
  local m = redis.call('HMGET', KEYS[i + 1], 'chain', 'head')
  if not m[1] then
    redis.call('DEL', KEYS[i])
    redis.call('HSET', KEYS[i + 1], 'head', '0', 'chain', ARGV[2] .. ':0', 'run', ARGV[1])
    m = { ARGV[2] .. ':0', '0' }
  end
  if redis.call('PTTL', KEYS[i + 1]) < 302400000 then redis.call('PEXPIRE', KEYS[i + 1], '604800000') end
  answer[#answer + 1] = string.match(m[1], '(%S+):%d+$') .. ' ' .. m[2]
end
return answer
`);

/**
 * A page of a log. KEYS: log, meta. ARGV: run id, fresh epoch, 'after' or 'before', an offset ('before': or none), limit.
 * Returns chain, head, the time before which entries are too old, and the entries that hold the page, in the order asked for; the first and the last may hold more.
 */
export const page: Script = script(`
local log, limit, edge = KEYS[1], tonumber(ARGV[5]), tonumber(ARGV[4])
local m = redis.call('HMGET', KEYS[2], 'chain', 'head', 'ttl')
if not m[1] then
  redis.call('DEL', log)
  redis.call('HSET', KEYS[2], 'head', '0', 'chain', ARGV[2] .. ':0', 'run', ARGV[1])
  redis.call('PEXPIRE', KEYS[2], '604800000')
  m = { ARGV[2] .. ':0', '0', false }
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local after, from, entries, enough = ARGV[3] == 'after', '+', {}, false
if after then
  from = string.format('%d', edge + 1)
elseif edge then
  local holder = redis.call('XRANGE', log, ARGV[4], '+', 'COUNT', 1)[1]
  from = holder and holder[1] or from
else
  edge = tonumber(m[2]) + 1
end
repeat
  local some = after and redis.call('XRANGE', log, from, '+', 'COUNT', 16) or redis.call('XREVRANGE', log, from, '-', 'COUNT', 16)
  for _, entry in ipairs(some) do
    local offset = tonumber(string.match(entry[1], '^%d+'))
    entries[#entries + 1] = entry
    from = '(' .. entry[1]
    -- Offsets have no holes, so the distance says how many there are.
    enough = after and offset - edge >= limit or not after and edge - offset > limit
    if enough then break end
  end
until enough or #some < 16
return { m[1], m[2], string.format('%d', now - (tonumber(m[3]) or 0)), entries }
`);

/** Proves at start that this user may do all that the others do, and leaves nothing behind. KEYS: log, meta, record. ARGV: Pub/Sub channel. */
export const probe: Script = script(`
redis.call('TIME')
redis.call('XADD', KEYS[1], '1-1', 'd', '')
redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', '1')
redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', '1')
redis.call('XTRIM', KEYS[1], 'MINID', '=', '2')
redis.call('HSET', KEYS[2], 'head', '0')
redis.call('HMGET', KEYS[2], 'head')
redis.call('PEXPIRE', KEYS[2], '1000')
redis.call('PTTL', KEYS[2])
redis.call('SET', KEYS[3], '', 'PX', '1000')
redis.call('SPUBLISH', ARGV[1], '')
redis.call('UNLINK', KEYS[3])
redis.call('DEL', KEYS[1], KEYS[2])
return 1
`);

export const scripts: readonly Script[] = [append, announceOnce, heads, page, probe];
