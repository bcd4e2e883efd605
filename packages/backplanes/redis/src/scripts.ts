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
 * Appends and announces. KEYS: log, meta[, record of the idempotency key]. Returns `epoch offset`.
 * ARGV: data, Pub/Sub channel, size, ttl, bytes, run id, fresh epoch, window of the idempotency key.
 *
 * - Numbers are printed with %.0f: Lua's own would round from 10^14 on.
 * - XADD trims by count; age and bytes are trimmed here, at most some entries each time: reading leaves out what is too old.
 * - `oldest` is the time of the oldest entry or earlier: only when it is over age are entries looked at.
 * - Keys get twice the life that they need and are touched when a quarter of it is over, so that most appends need no PEXPIRE.
 */
export const append: Script = script(`
local log, meta, record = KEYS[1], KEYS[2], KEYS[3]
local data, size, ttl, bytes = ARGV[1], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
if record then
  local first = redis.call('GET', record)
  if first then return first end
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local m = redis.call('HMGET', meta, 'head', 'chain', 'run', 'oldest', 'sum', 'ttl', 'touched')
local chain, oldest = m[2], tonumber(m[4])
local offset = string.format('%.0f', (tonumber(m[1]) or 0) + 1)
local sum = (tonumber(m[5]) or 0) + #data
local changes = { 'head', offset, 'sum', string.format('%.0f', sum) }
local function set(field, value) changes[#changes + 1] = field; changes[#changes + 1] = value end
if not chain then
  redis.call('DEL', log)
  chain = ARGV[7] .. ':0'
  set('chain', chain) set('run', ARGV[6])
elseif m[3] ~= ARGV[6] then
  local links, first = {}, redis.call('XRANGE', log, '-', '+', 'COUNT', 1)[1]
  local kept = first and tonumber(string.match(first[1], '^%d+')) or tonumber(offset)
  for link in string.gmatch(chain .. ' ' .. ARGV[7] .. ':' .. offset, '%S+') do
    if tonumber(string.match(link, ':(%d+)$')) < kept then links = {} end
    links[#links + 1] = link
  end
  chain = table.concat(links, ' ')
  set('chain', chain) set('run', ARGV[6])
end
local epoch = string.match(chain, '(%S+):%d+$')
redis.call('XADD', log, 'MAXLEN', '=', size, offset .. '-' .. string.format('%.0f', now), 'd', data, 'c', string.format('%.0f', sum))
if not oldest then
  set('oldest', string.format('%.0f', now))
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
    if string.match(entry[1], '^%d+') == offset or sum - (tonumber(entry[2][4]) - #entry[2][2]) <= bytes then break end
    redis.call('XTRIM', log, 'MINID', '=', string.format('%.0f', tonumber(string.match(entry[1], '^%d+')) + 1))
  end
end
local stale = tonumber(m[6]) ~= ttl or now - tonumber(m[7]) > ttl / 2
if stale then
  set('ttl', ARGV[4]) set('touched', string.format('%.0f', now))
end
redis.call('HSET', meta, unpack(changes))
if stale then
  redis.call('PEXPIRE', log, string.format('%.0f', ttl * 2))
  redis.call('PEXPIRE', meta, string.format('%.0f', math.max(ttl * 10, 604800000) + ttl))
end
local position = epoch .. ' ' .. offset
if record then redis.call('SET', record, position, 'PX', ARGV[8]) end
redis.call('SPUBLISH', ARGV[2], offset .. ' ' .. epoch .. ' ' .. data)
return position
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
 * A page of a log. KEYS: log, meta. ARGV: run id, fresh epoch, 'after' or 'before', first or last stream id wanted, limit.
 * Returns chain, head, the time before which entries are too old, and the entries in the order asked for.
 */
export const page: Script = script(`
local m = redis.call('HMGET', KEYS[2], 'chain', 'head', 'ttl')
if not m[1] then
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[2], 'head', '0', 'chain', ARGV[2] .. ':0', 'run', ARGV[1])
  redis.call('PEXPIRE', KEYS[2], '604800000')
  m = { ARGV[2] .. ':0', '0', false }
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local entries
if ARGV[3] == 'after' then
  entries = redis.call('XRANGE', KEYS[1], ARGV[4], '+', 'COUNT', ARGV[5])
else
  entries = redis.call('XREVRANGE', KEYS[1], ARGV[4], '-', 'COUNT', ARGV[5])
end
return { m[1], m[2], string.format('%.0f', now - (tonumber(m[3]) or 0)), entries }
`);

/** Proves at start that this user may do all that the others do, and leaves nothing behind. KEYS: log, meta, record. ARGV: Pub/Sub channel. */
export const probe: Script = script(`
redis.call('TIME')
redis.call('XADD', KEYS[1], 'MAXLEN', '=', '1', '1-1', 'd', '')
redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', '1')
redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', '1')
redis.call('XTRIM', KEYS[1], 'MINID', '=', '2')
redis.call('HSET', KEYS[2], 'head', '0')
redis.call('HMGET', KEYS[2], 'head')
redis.call('PEXPIRE', KEYS[2], '1000')
redis.call('PTTL', KEYS[2])
redis.call('SET', KEYS[3], '', 'PX', '1000')
redis.call('GET', KEYS[3])
redis.call('SPUBLISH', ARGV[1], '')
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
return 1
`);

export const scripts: readonly Script[] = [append, announceOnce, heads, page, probe];
