/**
 * The fence (fence.ts) in Lua, which Redis runs as one step.
 *
 * A segment is one field of the hash KEYS[2], named by its end: "start cursor epoch". The sorted set KEYS[1] has the ends,
 * so that the segment of a point is the first one that ends beyond it: a push costs two look-ups, however many there are.
 * The hash also has `newest` and `floor`, the epochs.
 *
 * Lua 5.1 knows doubles only, which hold every safe integer exactly; what would round them is their default text, of 14
 * digits. So every number leaves a script by `text`, and none is ever given to `tostring` or `..`.
 *
 * Invariant: a script that can fail does so before its first write. Redis takes nothing back.
 */
const PRELUDE = `
local ends, fields = KEYS[1], KEYS[2]
local function text(number) return string.format('%.0f', number) end
local function read(last)
  local start, cursor, epoch = string.match(redis.call('HGET', fields, last), '^(%S+) (%S+) (%S+)$')
  return { start = tonumber(start), cursor = tonumber(cursor), last = tonumber(last), epoch = tonumber(epoch) }
end
local function ending(from)
  local last = redis.call('ZRANGEBYSCORE', ends, from, '+inf', 'LIMIT', 0, 1)[1]
  return last and read(last)
end
local function write(segment)
  local last = text(segment.last)
  redis.call('ZADD', ends, last, last)
  redis.call('HSET', fields, last, text(segment.start) .. ' ' .. text(segment.cursor) .. ' ' .. text(segment.epoch))
end
local function remove(segment)
  redis.call('ZREM', ends, text(segment.last))
  redis.call('HDEL', fields, text(segment.last))
end
local function done(segment) return segment.cursor == segment.last end
local function join(segments)
  local kept = {}
  for _, right in ipairs(segments) do
    local left = kept[#kept]
    local both = left and left.last == right.start and done(left) and done(right)
    local same = left and left.last == right.start and left.epoch == right.epoch and right.cursor == right.start
    if both or same then
      if done(left) then left.cursor = right.cursor end
      left.last = right.last
      left.epoch = math.max(left.epoch, right.epoch)
    else
      kept[#kept + 1] = right
    end
  end
  return kept
end
`;

/** ARGV: start, end, epoch. Gives 'done' and the done ranges, or 'stale' or 'dropped' and the epoch that is in the way. */
export const OPEN_SCRIPT = `${PRELUDE}
local start, last, epoch = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local floor = tonumber(redis.call('HGET', fields, 'floor') or '0')
if epoch <= floor then return { 'dropped', text(floor) } end
local touched = {}
local segment = ending(ARGV[1])
-- What lies before the first one may be done, and touch what is done of the part that is cut off.
if segment and redis.call('HEXISTS', fields, text(segment.start)) == 1 then
  touched[1] = read(text(segment.start))
end
while segment and segment.start <= last do
  local open = segment.cursor < segment.last and segment.cursor < last and start < segment.last
  if open and segment.epoch > epoch then return { 'stale', text(segment.epoch) } end
  touched[#touched + 1] = segment
  segment = ending('(' .. text(segment.last))
end
local before, inner, beyond = {}, {}, {}
local function cut(into, segment, from, to, epoch)
  from, to = math.max(segment.start, from), math.min(segment.last, to)
  if from >= to then return end
  local cursor = math.min(math.max(segment.cursor, from), to)
  into[#into + 1] = { start = from, cursor = cursor, last = to, epoch = epoch }
end
local reached = start
local function fill(to)
  if reached < to then inner[#inner + 1] = { start = reached, cursor = reached, last = to, epoch = epoch } end
end
for _, segment in ipairs(touched) do
  cut(before, segment, -math.huge, start, segment.epoch)
  if segment.start < last and segment.last > start then
    fill(math.max(segment.start, start))
    cut(inner, segment, start, last, epoch)
    reached = math.min(segment.last, last)
  end
  cut(beyond, segment, last, math.huge, segment.epoch)
end
fill(last)
local ranges, from, to = { 'done' }, nil, nil
for _, segment in ipairs(inner) do
  if segment.start < segment.cursor then
    if to == segment.start then to = segment.cursor else
      if from then ranges[#ranges + 1] = text(from); ranges[#ranges + 1] = text(to) end
      from, to = segment.start, segment.cursor
    end
  end
end
if from then ranges[#ranges + 1] = text(from); ranges[#ranges + 1] = text(to) end
local pieces = {}
for _, part in ipairs({ before, inner, beyond }) do
  for _, segment in ipairs(part) do pieces[#pieces + 1] = segment end
end
for _, segment in ipairs(touched) do remove(segment) end
for _, segment in ipairs(join(pieces)) do write(segment) end
local newest = tonumber(redis.call('HGET', fields, 'newest') or '0')
redis.call('HSET', fields, 'newest', text(math.max(newest, epoch)))
return ranges
`;

/**
 * ARGV: the command of the effect, first point, epoch, then a value for each point; KEYS[3] is where effects go. Gives
 * 'pushed' and how many took effect now, or 'stale', 'closed' or 'order' and the number that is in the way.
 */
export const PUSH_SCRIPT = `${PRELUDE}
local command, first, epoch = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local effects, moved = {}, {}
local count, segment = 0, nil
for at = 4, #ARGV do
  local point = first + (at - 4)
  if not segment or segment.last <= point then
    segment = ending('(' .. text(point))
    if not segment or segment.start > point then return { 'closed', text(point) } end
  end
  if point >= segment.cursor then
    if segment.epoch ~= epoch then return { 'stale', text(segment.epoch) } end
    if point > segment.cursor then return { 'order', text(segment.cursor), text(point) } end
    if command == 'HSET' then effects[#effects + 1] = text(point) end
    effects[#effects + 1] = ARGV[at]
    segment.cursor = point + 1
    count = count + 1
    if moved[#moved] ~= segment then moved[#moved + 1] = segment end
  end
end
if count == 0 then return { 'pushed', '0' } end
redis.call(command, KEYS[3], unpack(effects))
for _, segment in ipairs(moved) do write(segment) end
for _, segment in ipairs(moved) do
  local name = text(segment.last)
  if done(segment) and redis.call('HEXISTS', fields, name) == 1 then
    local touching = { read(name) }
    local before = text(touching[1].start)
    if redis.call('HEXISTS', fields, before) == 1 then table.insert(touching, 1, read(before)) end
    local right = ending('(' .. name)
    if right and right.start == segment.last then touching[#touching + 1] = right end
    for _, old in ipairs(touching) do remove(old) end
    for _, new in ipairs(join(touching)) do write(new) end
  end
end
return { 'pushed', text(count) }
`;

/** Everything goes but the newest epoch, which becomes the floor. */
export const DROP_SCRIPT = `${PRELUDE}
local newest = redis.call('HGET', fields, 'newest')
redis.call('DEL', ends, fields)
if newest then redis.call('HSET', fields, 'newest', newest, 'floor', newest) end
return { 'dropped' }
`;
