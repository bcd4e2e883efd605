/**
 * Tables and functions, in a schema of their own. Every publication of one moment goes through one call of `publish_1`: one round trip, one commit.
 *
 * | table  | holds                                                                                     |
 * | ------ | ----------------------------------------------------------------------------------------- |
 * | head   | one row per channel: the lock under which offsets are given out, the chain of epochs      |
 * | log    | one row per block: what one commit appended to one channel; deleted in the background     |
 * | key    | idempotency keys and the positions that they got                                           |
 * | relay  | publications without history and control messages, for 10 seconds; unlogged               |
 * | outbox | publications of applications' own transactions, until they are moved to the log            |
 *
 * A function's number is the version that it came with: instances of the version before go on with theirs during a deploy, and an older one that starts
 * again undoes nothing. So what a version of the schema changes stays usable for the one before.
 *
 * Channels are text in the C collation: compared by bytes, in one order for all, which is the order in which rows are locked.
 */
export const version = 2;

/** What `migrate: true` runs, for a DBA to run instead. Safe to run again. @param schema as in the options; default `zuruf`. */
export function schemaSql(schema = "zuruf"): string {
  return `
create schema if not exists ${schema};
create table if not exists ${schema}.version (version integer primary key);
create table if not exists ${schema}.head (
  channel text collate "C" primary key,
  id bigint generated always as identity,
  head bigint not null default 0,
  chain text not null,
  incarnation text not null,
  -- Bytes appended so far; what retention keeps at most: publications and bytes (0: no bound).
  total bigint not null default 0,
  size bigint not null default 0,
  bytes bigint not null default 0,
  expires timestamptz not null
) with (fillfactor = 70);
-- A block: its publications have the offsets from first on; data is the length of each (four bytes) before its bytes.
create table if not exists ${schema}.log (
  head bigint not null,
  first bigint not null,
  count integer not null,
  -- Bytes of publications appended to the channel up to here, this block included.
  total bigint not null,
  expires timestamptz not null,
  data bytea not null,
  primary key (head, first)
);
-- Only once: it would wait for whoever reads, and hold up all that come after.
do $$ begin
  if exists (select from pg_attribute where attrelid = '${schema}.log'::regclass and attname = 'data' and attstorage <> 'e') then
    alter table ${schema}.log alter column data set storage external;
  end if;
end $$;
create index if not exists log_expires on ${schema}.log (expires);
create table if not exists ${schema}.key (
  channel text collate "C" not null,
  key text collate "C" not null,
  position text not null,
  expires timestamptz not null,
  primary key (channel, key)
);
create index if not exists key_expires on ${schema}.key (expires);
create unlogged table if not exists ${schema}.relay (
  batch bigint not null,
  n integer not null,
  channel text collate "C" not null,
  data bytea not null,
  at timestamptz not null default now(),
  primary key (batch, n)
);
create sequence if not exists ${schema}.batch;
create table if not exists ${schema}.outbox (
  id bigint generated always as identity primary key,
  channel text collate "C" not null,
  data bytea not null,
  size bigint not null,
  ttl bigint not null,
  bytes bigint not null,
  key text collate "C"
);

-- One life of the server: what it may have forgotten (fsync off, a restored backup, a standby that took over), it forgot between two of them.
create or replace function ${schema}.incarnation_1() returns text language sql stable as $$
  select extract(epoch from pg_postmaster_start_time())::text
$$;

-- A chain with one more link, without the links that no kept entry needs any more.
create or replace function ${schema}.link_1(p_chain text, p_epoch text, p_first bigint, p_kept bigint) returns text language plpgsql immutable as $$
declare
  v_link text;
  v_links text[] := '{}';
begin
  foreach v_link in array string_to_array(p_chain || ' ' || p_epoch || ':' || p_first, ' ') loop
    if split_part(v_link, ':', 2)::bigint < p_kept then v_links := '{}'; end if;
    v_links := v_links || v_link;
  end loop;
  return array_to_string(v_links, ' ');
end $$;

-- The heads of channels, made where there is none. Heads that are asked for live on.
create or replace function ${schema}.heads_1(p_channels text[], p_epoch text) returns table (channel text, chain text, head bigint) language plpgsql as $$
begin
  insert into ${schema}.head as h (channel, chain, incarnation, expires)
    select c, p_epoch || ':0', ${schema}.incarnation_1(), now() + interval '7 days' from unnest(p_channels) c
    where not exists (select from ${schema}.head x where x.channel = c)
    order by c
    on conflict do nothing;
  update ${schema}.head h set expires = now() + interval '7 days'
    where h.channel = any(p_channels) and h.expires < now() + interval '3.5 days';
  return query select h.channel, h.chain, h.head from ${schema}.head h where h.channel = any(p_channels);
end $$;

-- Locks the heads of these channels, each named once, and makes those that are not there.
create or replace function ${schema}.lock_1(p_channels text[], p_epoch text) returns void language plpgsql as $$
declare
  v_count int;
begin
  -- What is acknowledged is on disk, whatever the default of the server is.
  if current_setting('synchronous_commit') = 'off' then perform set_config('synchronous_commit', 'on', true); end if;
  for v_attempt in 1..2 loop
    -- All in one order, so that two calls never wait for each other.
    perform from ${schema}.head h where h.channel = any(p_channels) order by h.channel for no key update;
    get diagnostics v_count = row_count;
    if v_count = cardinality(p_channels) then return; end if;
    insert into ${schema}.head (channel, chain, incarnation, expires)
      select c, p_epoch || ':0', ${schema}.incarnation_1(), now() + interval '7 days' from unnest(p_channels) c order by c collate "C"
      on conflict do nothing;
  end loop;
  -- A head that expired at this very moment: the caller tries again.
  raise exception 'a head is gone' using errcode = 'serialization_failure';
end $$;

-- Appends one block to each of these channels, whose heads are locked. p_blob holds the blocks in one piece; the key p_keys[i] belongs to the
-- publication p_nths[i] (from 0) of the channel p_owners[i] (from 1). Answers one line per channel: its first new offset, and its chain.
create or replace function ${schema}.append_1(
  p_channels text[], p_counts int[], p_lengths int[], p_blob bytea, p_sizes bigint[], p_ttls bigint[], p_bytes bigint[],
  p_owners int[], p_nths int[], p_keys text[], p_epoch text, p_key_window bigint
) returns text language plpgsql as $$
declare
  v_incarnation text := ${schema}.incarnation_1();
  v_answer text;
  v_firsts bigint[];
  v_chains text[];
  v_epochs text[];
begin
  with block as (
    select u.*, (sum(u.length) over (order by u.n) - u.length + 1)::int as start
    from unnest(p_channels, p_counts, p_lengths, p_sizes, p_ttls, p_bytes) with ordinality u (channel, count, length, size, ttl, bytes, n)
  ), moved as (
    update ${schema}.head h set
      head = h.head + b.count, total = h.total + b.length - 4 * b.count, size = b.size, bytes = b.bytes,
      expires = greatest(h.expires, now() + greatest(b.ttl * 10, 604800000) * interval '1 millisecond'),
      incarnation = v_incarnation,
      chain = case when h.incarnation = v_incarnation then h.chain else ${schema}.link_1(h.chain, p_epoch, h.head + 1,
        coalesce((select min(l.first) from ${schema}.log l where l.head = h.id), h.head + 1)) end
    from block b where h.channel = b.channel collate "C"
    returning h.id, h.channel, h.head - b.count + 1 as first, h.total, h.chain, b.n, b.count, b.start, b.length, b.ttl
  ), logged as (
    insert into ${schema}.log (head, first, count, total, expires, data)
    select id, first, count, total, now() + ttl * interval '1 millisecond', substring(p_blob from start for length) from moved
  )
  select string_agg(first || ' ' || chain, E'\\n' order by n), array_agg(first order by n), array_agg(chain order by n)
    into v_answer, v_firsts, v_chains from moved;
  if cardinality(p_keys) > 0 then
    select array_agg(substring(c from '([^ :]+):[0-9]+$') order by n) into v_epochs from unnest(v_chains) with ordinality u (c, n);
    insert into ${schema}.key as k (channel, key, position, expires)
      select p_channels[owner], key, v_epochs[owner] || ' ' || (v_firsts[owner] + nth), now() + p_key_window * interval '1 millisecond'
      from unnest(p_owners, p_nths, p_keys) u (owner, nth, key)
      on conflict (channel, key) do update set position = excluded.position, expires = excluded.expires;
  end if;
  return v_answer;
end $$;

-- Appends, unless a key is known: then nothing is appended, and the answer is 'known' and one line for each such key, its number (from 1) and its position.
create or replace function ${schema}.publish_1(
  p_channels text[], p_counts int[], p_lengths int[], p_blob bytea, p_sizes bigint[], p_ttls bigint[], p_bytes bigint[],
  p_owners int[], p_nths int[], p_keys text[], p_epoch text, p_key_window bigint
) returns text language plpgsql as $$
declare
  v_known text;
begin
  perform ${schema}.lock_1(p_channels, p_epoch);
  if cardinality(p_keys) > 0 then
    select string_agg(u.i || ' ' || k.position, E'\\n') into v_known
      from unnest(p_owners, p_keys) with ordinality u (owner, key, i)
      join ${schema}.key k on k.channel = p_channels[u.owner] and k.key = u.key where k.expires > now();
    if v_known is not null then return E'known\\n' || v_known; end if;
  end if;
  return ${schema}.append_1(p_channels, p_counts, p_lengths, p_blob, p_sizes, p_ttls, p_bytes, p_owners, p_nths, p_keys, p_epoch, p_key_window);
end $$;

-- Makes publications without history readable for whom they are announced to; answers their batch. Losing them in a crash is allowed, so nobody waits for the disk.
create or replace function ${schema}.relay_1(p_channels text[], p_lengths bigint[], p_blob bytea) returns bigint language plpgsql as $$
declare
  v_batch bigint := nextval('${schema}.batch');
begin
  perform set_config('synchronous_commit', 'off', true);
  insert into ${schema}.relay (batch, n, channel, data)
    select v_batch, n, channel, substring(p_blob from (sum(length) over (order by n) - length + 1)::int for length::int)
    from unnest(p_channels, p_lengths) with ordinality u (channel, length, n);
  return v_batch;
end $$;

-- Moves committed rows of the outbox to the log, in the order of their ids: at most p_limit, and no more once there is 1 MiB.
-- Answers how many, and 'head=channel' for each channel. One mover at a time; nobody waits.
create or replace function ${schema}.move_outbox_2(p_limit int, p_epoch text, p_key_window bigint) returns text language plpgsql as $$
declare
  v_moved ${schema}.outbox[];
  r record;
  v_hints text;
begin
  if not pg_try_advisory_xact_lock(hashtext('${schema}.outbox')) then return '0'; end if;
  with gone as (
    delete from ${schema}.outbox where id in (
      select id from ${schema}.outbox where id in (
        select id from (
          select id, sum(octet_length(data)) over (order by id) - octet_length(data) as before from ${schema}.outbox order by id limit p_limit
        ) o where before < 1048576
      ) for update skip locked
    ) returning *
  )
  select coalesce(array_agg(row(gone.*)::${schema}.outbox order by id), '{}') into v_moved from gone;
  perform ${schema}.lock_1((select coalesce(array_agg(distinct channel), '{}') from unnest(v_moved)), p_epoch);
  with fresh as (
    select m.*, row_number() over (partition by m.channel, m.key order by m.id) as time from unnest(v_moved) m
    where not exists (select from ${schema}.key k where k.channel = m.channel and k.key = m.key and k.expires > now())
  ), item as (
    select *, dense_rank() over (order by channel) as owner, row_number() over (partition by channel order by id) - 1 as nth
    from fresh where key is null or time = 1
  ), block as (
    select owner, channel, count(*) as count, string_agg(int4send(octet_length(data)) || data, ''::bytea order by id) as data,
      (array_agg(size order by id desc))[1] as size, max(ttl) as ttl, (array_agg(bytes order by id desc))[1] as bytes
    from item group by owner, channel
  )
  select array_agg(channel order by owner) as channels, array_agg(count::int order by owner) as counts,
    array_agg(octet_length(data) order by owner) as lengths, string_agg(data, ''::bytea order by owner) as blob,
    array_agg(size order by owner) as sizes, array_agg(ttl order by owner) as ttls, array_agg(bytes order by owner) as bytes,
    (select array_agg(owner::int order by id) from item where key is not null) as owners,
    (select array_agg(nth::int order by id) from item where key is not null) as nths,
    (select array_agg(key order by id) from item where key is not null) as keys
  into r from block;
  if r.channels is not null then
    perform ${schema}.append_1(r.channels, r.counts, r.lengths, r.blob, r.sizes, r.ttls, r.bytes, r.owners, r.nths, r.keys, p_epoch, p_key_window);
    select string_agg(' ' || h.head || '=' || h.channel, '') into v_hints from ${schema}.head h where h.channel = any(r.channels);
  end if;
  return cardinality(v_moved) || coalesce(v_hints, '');
end $$;

-- Deletes what retention does not keep of channels that have grown; without any, what is over its time, about p_limit rows of each table at most.
-- Returns how many went. What a crash brings back goes again, so nobody waits for the disk.
-- Without statistics a third of a table looks as if it were over its time, and reading all of it better than its index.
create or replace function ${schema}.trim_2(p_channels text[], p_limit int) returns int language plpgsql set enable_seqscan = off as $$
declare
  h record;
  l record;
  v_last bigint;
  v_all int := 0;
  v_count int;
begin
  perform set_config('synchronous_commit', 'off', true);
  for h in select id, head, size, bytes, total from ${schema}.head where channel = any(p_channels) order by channel loop
    exit when v_all >= p_limit;
    v_last := null;
    -- From the oldest on to the first that stays: what is kept is not looked at.
    for l in select first, count, total from ${schema}.log where head = h.id order by first limit p_limit - v_all loop
      exit when l.first + l.count - 1 > h.head - h.size and (h.bytes = 0 or l.total >= h.total or h.total - l.total < h.bytes);
      v_last := l.first;
    end loop;
    if v_last is not null then
      delete from ${schema}.log where head = h.id and first <= v_last;
      get diagnostics v_count = row_count;
      v_all := v_all + v_count;
    end if;
  end loop;
  if cardinality(p_channels) = 0 and pg_try_advisory_xact_lock(hashtext('${schema}.trim')) then
    delete from ${schema}.log where (head, first) in (select head, first from ${schema}.log where expires < now() order by expires limit p_limit);
    get diagnostics v_count = row_count;
    v_all := v_all + v_count;
    delete from ${schema}.key where (channel, key) in (select channel, key from ${schema}.key where expires < now() order by expires limit p_limit);
    get diagnostics v_count = row_count;
    v_all := v_all + v_count;
    -- Who did not read it by then has another session. Batches are in the order of time, or nearly, and go as a whole.
    delete from ${schema}.relay where batch <= (
      select max(batch) from (select batch, at from ${schema}.relay order by batch, n limit p_limit) oldest where at < now() - interval '10 seconds'
    );
    get diagnostics v_count = row_count;
    v_all := v_all + v_count;
  end if;
  return v_all;
end $$;

-- Deletes at most p_limit heads that nobody has asked for in a long time; returns how many went. Seldom: it reads all of them, for an index would be written
-- to with every publication, and no update could stay in its page.
create or replace function ${schema}.forget_2(p_limit int) returns int language plpgsql as $$
declare
  v_count int;
begin
  perform set_config('synchronous_commit', 'off', true);
  delete from ${schema}.head where channel in (select channel from ${schema}.head where expires < now() limit p_limit for update skip locked);
  get diagnostics v_count = row_count;
  return v_count;
end $$;

insert into ${schema}.version values (${version}) on conflict do nothing;
`;
}
