/**
 * The server-side steps, each atomic. Scripts rather than a function library: they leave nothing in the server, need no right to change it for
 * others, and two versions of Zuruf can share one Redis during a deploy. They are sent by their hash; whole only where the server does not know them.
 */
import { createHash } from "node:crypto";
import { noPosition } from "./block.ts";

export interface Script {
  readonly source: string;
  readonly sha1: string;
}

function script(source: string): Script {
  return { source, sha1: createHash("sha1").update(source).digest("hex") };
}

/** Of a block (see block.ts): what is left without those of its publications that are known, how many that is, and their bytes. */
const without = `
local function without(block, known)
  local lengths, parts, n, at = {}, {}, 0, string.find(block, '\\n', 1, true) + 1
  for size in string.gmatch(string.sub(block, 1, at - 2), '%d+') do
    n = n + 1
    if not known[n] then
      lengths[#lengths + 1] = size
      parts[#parts + 1] = string.sub(block, at, at + tonumber(size) - 1)
    end
    at = at + tonumber(size)
  end
  local data = table.concat(parts)
  return table.concat(lengths, ' ') .. '\\n' .. data, #parts, #data
end
`;

/**
 * Appends a block of publications to each of some channels, and announces it. KEYS of each: log and meta; then, when some of its publications have an idempotency key, both hashes of keys.
 * ARGV: run id, fresh epoch, key window; then of each channel: block, numbers (how many publications it holds, their bytes, retention's size, ttl and bytes, how many keys follow: none, or one for each), and the keys (empty: none).
 * Returns for each `epoch offset` of its first publication; or of all, as a list, when some had been published before;
 * or `!` and why nothing of it is stored, or `?` and why it is not known.
 *
 * - Numbers are printed with %d: Lua's own would round from 10^14 on.
 * - What costs the same for many publications as for one is what makes them cheap together: one entry, one announcement.
 * - Keys are in one of two hashes, which take turns each key window, with the first key that is new: who forgets a whole hash at once needs no expiry per key.
 * - The log is trimmed by count when an eighth more than wanted has come, by age at most some entries each time: reading leaves out what is too old.
 *   By bytes an entry goes when what is left without it is as much as wanted: an entry more is kept rather than an entry less.
 * - `oldest` is the time of the oldest entry or earlier: only when it is over age are entries looked at.
 * - Keys get twice the life that they need and are touched when a quarter of it is over, so that most appends need no PEXPIRE.
 */
export const append: Script = script(`
local run, fresh, window = ARGV[1], ARGV[2], tonumber(ARGV[3])
local call, format, match = redis.call, string.format, string.match
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local nowText = format('%d', now)
local stored, changes
local function set(field, value)
  changes[#changes + 1] = field
  changes[#changes + 1] = value
end
${without}
local function append(k, a, count, length, size, ttl, bytes, keyed)
  local log, meta, block = KEYS[k], KEYS[k + 1], ARGV[a]
  local m = call('HMGET', meta, 'head', 'chain', 'run', 'oldest', 'sum', 'ttl', 'touched')
  local head, chain, oldest, sum = tonumber(m[1]) or 0, m[2], tonumber(m[4]), tonumber(m[5]) or 0

  -- Of those published before: their positions. What is left is appended.
  local known, repeated, side, keys, turns
  if keyed > 0 then
    local hashes, turn = {}, call('HMGET', meta, 'turned', 'side')
    known, side = {}, turn[2]
    turns = not side or now - tonumber(turn[1]) >= window
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
      for n, position in ipairs(call('HMGET', hash, unpack(ARGV, a + 2, a + 1 + keyed))) do
        if position and ARGV[a + 1 + n] ~= '' then known[n] = position; repeated = true end
      end
    end
    if repeated then block, count, length = without(block, known) end
    if count == 0 then return known end
  end

  local last, first = format('%d', head + count), format('%d', head + 1)
  changes = { 'head', last, 'sum', format('%d', sum + length) }
  if m[3] ~= run or not chain then
    if not chain then
      call('DEL', log)
      chain = fresh .. ':0'
    else
      local links, entry, kept = {}, call('XRANGE', log, '-', '+', 'COUNT', 1)[1], head + 1
      if entry then
        local _, many = string.gsub(match(entry[2][2], '^[%d ]+'), '%d+', '')
        kept = tonumber(match(entry[1], '^%d+')) - many + 1
      end
      for link in string.gmatch(chain .. ' ' .. fresh .. ':' .. first, '%S+') do
        if tonumber(match(link, ':(%d+)$')) < kept then links = {} end
        links[#links + 1] = link
      end
      chain = table.concat(links, ' ')
    end
    set('chain', chain) set('run', run)
  end
  local epoch = match(chain, '(%S+):%d+$')
  local position = epoch .. ' ' .. first
  call('XADD', log, last .. '-' .. nowText, 'd', block, 'c', m[5] or '0')
  stored = true

  local step = math.max(1, math.floor(size / 8))
  if math.floor(head / step) < math.floor((head + count) / step) then
    call('XTRIM', log, 'MINID', '=', format('%d', math.max(0, head + count - size + 1)))
  end
  if not oldest then
    set('oldest', nowText)
  elseif now - oldest > ttl then
    local from, limit = nil, now - ttl
    for _, entry in ipairs(call('XRANGE', log, '-', '+', 'COUNT', 16)) do
      from = entry[1]
      if tonumber(match(from, '%d+$')) >= limit then break end
    end
    call('XTRIM', log, 'MINID', '=', from)
    set('oldest', match(from, '%d+$'))
  end
  if bytes > 0 then
    while true do
      local two = call('XRANGE', log, '-', '+', 'COUNT', 2)
      if not two[2] or sum + length - tonumber(two[2][2][4]) < bytes then break end
      call('XTRIM', log, 'MINID', '=', two[2][1])
    end
  end

  local positions
  if keys then
    local records, offset = {}, head
    positions = {}
    for n = 1, keyed do
      if known[n] then
        positions[n] = known[n]
      else
        offset = offset + 1
        positions[n] = epoch .. ' ' .. format('%d', offset)
        if ARGV[a + 1 + n] ~= '' then
          records[#records + 1] = ARGV[a + 1 + n]
          records[#records + 1] = positions[n]
        end
      end
    end
    if #records > 0 then
      if turns then
        -- The older hash is forgotten and used again.
        call('UNLINK', keys)
        set('side', side) set('turned', nowText)
      end
      call('HSET', keys, unpack(records))
      if turns then call('PEXPIRE', keys, format('%d', window * 2)) end
    end
  end

  local stale = tonumber(m[6]) ~= ttl or now - tonumber(m[7]) > ttl / 2
  if stale then set('ttl', format('%d', ttl)) set('touched', nowText) end
  call('HSET', meta, unpack(changes))
  if stale then
    call('PEXPIRE', log, format('%d', ttl * 2))
    call('PEXPIRE', meta, format('%d', math.max(ttl * 10, 604800000) + ttl))
  end

  call('SPUBLISH', string.sub(log, 1, -5), first .. ' ' .. epoch .. ' ' .. block)
  if repeated then return positions end
  return position
end

local answers, k, a = {}, 1, 4
while a < #ARGV do
  local count, length, size, ttl, bytes, keyed = match(ARGV[a + 1], '(%S+) (%S+) (%S+) (%S+) (%S+) (%S+)')
  keyed = tonumber(keyed)
  stored = false
  local done, answer = pcall(append, k, a, tonumber(count), tonumber(length), tonumber(size), tonumber(ttl), tonumber(bytes), keyed)
  if not done then answer = (stored and '?' or '!') .. (type(answer) == 'table' and answer.err or 'ERR ' .. answer) end
  answers[#answers + 1] = answer
  k = k + (keyed > 0 and 4 or 2)
  a = a + 2 + keyed
end
return answers
`);

/**
 * Announces a block of publications without history on each of some channels. KEYS: a record for each publication that has an idempotency key.
 * ARGV: key window; then of each channel: Pub/Sub channel, block, and a digit for each of its publications, 1 for those that have a key (empty: none has).
 * Returns for each an empty text; or `!` and why none of it was announced, or `?` and why it is not known.
 */
export const announce: Script = script(`
local k, stored = 0, false
${without}
local function announce(channel, block, keyed)
  local known, count = {}, 1
  for n = 1, #keyed do
    if string.sub(keyed, n, n) == '1' then
      k = k + 1
      known[n] = not redis.call('SET', KEYS[k], '', 'NX', 'PX', ARGV[1])
      stored = stored or not known[n]
    end
  end
  if keyed ~= '' then block, count = without(block, known) end
  if count > 0 then redis.call('SPUBLISH', channel, '${noPosition}' .. block) end
  return ''
end

local answers = {}
for a = 2, #ARGV, 3 do
  local _, keys = string.gsub(ARGV[a + 2], '1', '')
  local before = k
  stored = false
  local done, answer = pcall(announce, ARGV[a], ARGV[a + 1], ARGV[a + 2])
  if not done then answer = (stored and '?' or '!') .. (type(answer) == 'table' and answer.err or 'ERR ' .. answer) end
  answers[#answers + 1] = answer
  k = before + keys
end
return answers
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
redis.call('SET', KEYS[3], '', 'NX', 'PX', '1000')
redis.call('SPUBLISH', ARGV[1], '')
redis.call('UNLINK', KEYS[3])
redis.call('DEL', KEYS[1], KEYS[2])
return 1
`);

export const scripts: readonly Script[] = [append, announce, heads, page, probe];
